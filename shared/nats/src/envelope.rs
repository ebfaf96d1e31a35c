//! The frame around everything on the bus: who made it, for what, until when, and that nobody changed it.
//!
//! `version (1) | kind (1) | id (16) | issued, ms (8) | until, ms (8) | length of cluster (1) | cluster | body | HMAC-SHA256 (32)`,
//! numbers big-endian. The HMAC covers the subject, the subject of the answer, and everything before it.

use bytes::Bytes;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use std::time::Duration;
use warren_domain::Timestamp;

/// The only version there is.
pub(crate) const VERSION: u8 = 1;
/// How old a frame may be, and how far ahead of ours the clock of its maker.
pub(crate) const FRESH: Duration = Duration::from_secs(60);

/// What names a request, or a start of a process: random.
pub(crate) type Id = [u8; ID];
pub(crate) const ID: usize = 16;

const MAC: usize = 32;
/// Before the cluster's name.
const FIXED: usize = 1 + 1 + 16 + 8 + 8 + 1;

/// What a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A command for the owner of a shard.
    Request = 1,
    /// The owner's answer.
    Reply = 2,
    /// Nobody took the request: it may be made again.
    NotTaken = 3,
    /// A ring.
    Ring = 4,
    /// The request is not of this time where it was heard, and was not taken. `issued` is the time there since the process
    /// started, and the body names the process: by this it may be made again.
    OtherTime = 5,
    /// A command for the owner of a shard, by the time since a process started. The body names the process first.
    RequestByProcess = 6,
}

/// What a frame says about itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) kind: Kind,
    /// Of the request that it is, or answers; of a ring, none.
    pub(crate) id: Id,
    pub(crate) issued: Timestamp,
    /// Until when somebody cares.
    pub(crate) until: Timestamp,
}

impl Head {
    /// Whether it was made a minute ago at most, and somebody still cares. `now` is by the clock that it was made by.
    pub(crate) fn is_fresh(&self, now: Timestamp) -> bool {
        now < self.until && now < self.issued.after(FRESH) && now >= self.issued.before(FRESH)
    }
}

/// Where a frame is: it is good nowhere else.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place<'a> {
    pub(crate) subject: &'a str,
    /// Where it is answered; empty if it is not.
    pub(crate) answer: &'a str,
}

/// Why a frame is not believed. Each is a label of a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    /// It is no frame, or not of the kind or content that belongs there.
    Malformed,
    /// Of a version that this binary does not know.
    Version,
    /// Of another cluster.
    Cluster,
    /// Changed, moved, or made without the secret.
    Forged,
    /// Too old, from the future, over, or older than its server: by the clock of whoever heard it.
    Stale,
    /// Carried out already.
    Repeated,
}

impl Refused {
    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Version => "version",
            Self::Cluster => "cluster",
            Self::Forged => "forged",
            Self::Stale => "stale",
            Self::Repeated => "repeated",
        }
    }
}

/// Makes and opens the frames of one cluster.
#[derive(Clone)]
pub(crate) struct Envelopes {
    cluster: String,
    /// With the key in it already.
    mac: Hmac<Sha256>,
}

impl Envelopes {
    /// `None` if the cluster's name is longer than 255 bytes.
    pub(crate) fn new(cluster: &str, secret: &[u8]) -> Option<Self> {
        u8::try_from(cluster.len()).ok()?;
        // A key of its own for each use of the secret, so that nothing made for one is good for another.
        let derived = Hmac::<Sha256>::new_from_slice(secret).ok()?.chain_update(b"warren bus").finalize().into_bytes();
        Some(Self { cluster: cluster.to_owned(), mac: Hmac::new_from_slice(&derived).ok()? })
    }

    /// Makes a frame; `body` is written by the function.
    pub(crate) fn seal<E>(
        &self,
        place: Place<'_>,
        head: Head,
        body: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
    ) -> Result<Bytes, E> {
        let mut frame = Vec::with_capacity(512);
        frame.extend([VERSION, head.kind as u8]);
        frame.extend(head.id);
        frame.extend(head.issued.as_millis().to_be_bytes());
        frame.extend(head.until.as_millis().to_be_bytes());
        frame.push(u8::try_from(self.cluster.len()).unwrap_or_default());
        frame.extend(self.cluster.as_bytes());
        body(&mut frame)?;
        let mac = self.mac_of(place, &frame).finalize().into_bytes();
        frame.extend(mac);
        Ok(frame.into())
    }

    /// Opens a frame that was found at a place, and returns its body. When it was made is for the caller to judge.
    pub(crate) fn open(&self, place: Place<'_>, frame: &Bytes) -> Result<(Head, Bytes), Refused> {
        let (version, _) = frame.split_first().ok_or(Refused::Malformed)?;
        if *version != VERSION {
            return Err(Refused::Version);
        }
        let signed = frame.len().checked_sub(MAC).ok_or(Refused::Malformed)?;
        let (content, mac) = frame.split_at_checked(signed).ok_or(Refused::Malformed)?;
        let (fixed, rest) = content.split_first_chunk::<FIXED>().ok_or(Refused::Malformed)?;
        let (head, cluster) = read(fixed)?;
        let (cluster, body) = rest.split_at_checked(cluster).ok_or(Refused::Malformed)?;
        if cluster != self.cluster.as_bytes() {
            return Err(Refused::Cluster);
        }
        self.mac_of(place, content).verify_slice(mac).map_err(|_| Refused::Forged)?;
        Ok((head, frame.slice_ref(body)))
    }

    fn mac_of(&self, place: Place<'_>, content: &[u8]) -> Hmac<Sha256> {
        let mut mac = self.mac.clone();
        for text in [place.subject, place.answer] {
            mac.update(&(text.len() as u64).to_be_bytes());
            mac.update(text.as_bytes());
        }
        mac.chain_update(content)
    }
}

/// The head, and how long the cluster's name is.
fn read(fixed: &[u8; FIXED]) -> Result<(Head, usize), Refused> {
    let (&[_, kind], rest) = fixed.split_first_chunk().ok_or(Refused::Malformed)?;
    let (&id, rest) = rest.split_first_chunk().ok_or(Refused::Malformed)?;
    let (&issued, rest) = rest.split_first_chunk().ok_or(Refused::Malformed)?;
    let (&until, rest) = rest.split_first_chunk().ok_or(Refused::Malformed)?;
    let (&cluster, _) = rest.split_first().ok_or(Refused::Malformed)?;
    let kinds = [Kind::Request, Kind::Reply, Kind::NotTaken, Kind::Ring, Kind::OtherTime, Kind::RequestByProcess];
    let kind = kinds.into_iter().find(|known| *known as u8 == kind);
    let head = Head {
        kind: kind.ok_or(Refused::Malformed)?,
        id,
        issued: Timestamp::from_millis(i64::from_be_bytes(issued)),
        until: Timestamp::from_millis(i64::from_be_bytes(until)),
    };
    Ok((head, usize::from(cluster)))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
mod tests {
    use super::*;
    use std::convert::Infallible;

    const NOW: Timestamp = Timestamp::from_millis(1_767_225_600_000);
    const PLACE: Place<'_> = Place { subject: "wrn.main.cmd.7", answer: "_INBOX_a.b.c" };

    fn envelopes() -> Envelopes {
        Envelopes::new("main", b"a secret of the cluster, long enough").unwrap()
    }

    fn head() -> Head {
        Head { kind: Kind::Request, id: [3; 16], issued: NOW, until: NOW.after(Duration::from_secs(5)) }
    }

    fn sealed(by: &Envelopes, head: Head) -> Bytes {
        let Ok(frame) = by.seal(PLACE, head, |frame| {
            frame.extend(b"body");
            Ok::<_, Infallible>(())
        });
        frame
    }

    #[test]
    fn opens_what_it_sealed() {
        let (opened, body) = envelopes().open(PLACE, &sealed(&envelopes(), head())).unwrap();
        assert_eq!((opened, &body[..]), (head(), &b"body"[..]));
    }

    #[test]
    fn every_changed_byte_is_refused() {
        let frame = sealed(&envelopes(), head());
        for at in 0..frame.len() {
            let mut changed = frame.to_vec();
            changed[at] ^= 1;
            assert!(envelopes().open(PLACE, &changed.into()).is_err(), "byte {at}");
        }
        for length in 0..frame.len() {
            assert!(envelopes().open(PLACE, &frame.slice(..length)).is_err(), "{length} bytes");
        }
    }

    #[test]
    fn a_frame_is_good_in_its_place_and_cluster_only() {
        let frame = sealed(&envelopes(), head());
        let elsewhere = [
            Place { subject: "wrn.main.cmd.8", ..PLACE },
            Place { answer: "", ..PLACE },
            Place { answer: "_INBOX_x.y.z", ..PLACE },
        ];
        for place in elsewhere {
            assert_eq!(envelopes().open(place, &frame), Err(Refused::Forged));
        }
        let other = Envelopes::new("other", b"a secret of the cluster, long enough").unwrap();
        assert_eq!(other.open(PLACE, &frame), Err(Refused::Cluster));
        let stranger = Envelopes::new("main", b"another secret, which is long enough").unwrap();
        assert_eq!(stranger.open(PLACE, &frame), Err(Refused::Forged));
    }

    #[test]
    fn another_version_is_refused_as_such() {
        let mut frame = sealed(&envelopes(), head()).to_vec();
        frame[0] = 2;
        assert_eq!(envelopes().open(PLACE, &frame.into()), Err(Refused::Version));
    }

    #[test]
    fn time_runs_out() {
        let long = Head { until: NOW.after(FRESH * 10), ..head() };
        let moment = Duration::from_millis(1);
        assert!(long.is_fresh(NOW.after(FRESH - moment)) && long.is_fresh(NOW.before(FRESH)));
        assert!(!long.is_fresh(NOW.after(FRESH)) && !long.is_fresh(NOW.before(FRESH + moment)));
        let short = Head { until: NOW.after(moment), ..head() };
        assert!(short.is_fresh(NOW) && !short.is_fresh(NOW.after(moment)));
    }
}
