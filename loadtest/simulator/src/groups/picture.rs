//! A group's picture: set by whom may describe it, seen by its members, told to all of them.

use wacore_binary::builder::NodeBuilder;

use super::notice::hand_out;
use super::{Change, Refusal};
use crate::address::PHONE;
use crate::media;
use crate::notification::{self, Notification};
use crate::profile::Picture;

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
        let id = notification::id("picture");
        let changed = changed.attr("jid", self.group.jid()).attr("author", author).build();
        let node = notification::begin(self.group.jid(), "picture", &id).children([changed]).build();
        hand_out(self.world, Notification::of(id, 0, &node), members.iter().copied());
    }
}
