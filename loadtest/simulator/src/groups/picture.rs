//! A group's picture: set by whom may describe it, seen by its members, told to all of them.

use bytes::Bytes;
use wacore_binary::builder::NodeBuilder;

use super::{Change, Refusal};
use crate::account::Outgoing;
use crate::address::PHONE;
use crate::media;
use crate::profile::Picture;
use crate::queue::Class;
use crate::stanza;

/// Why a picture is not set.
pub(crate) enum Error {
    Refused(Refusal),
    Store(media::Error),
}

impl Change<'_> {
    /// Sets or removes the picture; the new id. Writes a file.
    pub(crate) fn picture(&self, image: Option<&[u8]>) -> Result<Option<String>, Error> {
        // Asked before the file is written, and again by whoever may have changed it meanwhile.
        drop(self.describing().map_err(Error::Refused)?);
        let picture = match image {
            Some(bytes) => Some(Picture::keep(self.world, bytes).map_err(Error::Store)?),
            None => None,
        };
        let id = picture.as_ref().map(|picture| picture.id.clone());
        let members: Vec<u64> = {
            let mut state = self.describing().map_err(Error::Refused)?;
            state.picture = picture;
            state.members.keys().copied().collect()
        };
        self.group.touch();
        self.tell_of_picture(&members, id.as_deref());
        Ok(id)
    }

    /// The picture, for a member.
    pub(crate) fn shown_picture(&self) -> Option<Picture> {
        self.member().ok()?.picture.clone()
    }

    fn tell_of_picture(&self, members: &[u64], picture: Option<&str>) {
        let changed = match picture {
            Some(id) => NodeBuilder::new("set").attr("id", id),
            None => NodeBuilder::new("delete"),
        };
        let author = self.by.jid(PHONE, self.group.addressing);
        let id = format!("picture-{}", uuid::Uuid::new_v4().simple());
        let node = NodeBuilder::new("notification")
            .attr("from", self.group.jid())
            .attr("type", "picture")
            .attr("id", id.as_str())
            .attr("t", stanza::unix_seconds())
            .children([changed.attr("jid", self.group.jid()).attr("author", author).build()])
            .build();
        let Ok(marshaled) = wacore_binary::marshal(&node) else { return };
        let stanza = Bytes::from(marshaled);
        for account in members.iter().filter_map(|phone| self.world.directory.by_phone(*phone)) {
            account.enqueue_for_all(self.world, |_| Outgoing {
                class: Class::Notification,
                id: id.clone(),
                from: 0,
                stanza: stanza.clone(),
                noted_from: None,
            });
            self.world.counters.group_notices.one();
        }
    }
}
