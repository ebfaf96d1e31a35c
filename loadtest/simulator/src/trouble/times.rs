//! How often a fault strikes: always, so many times, or now and then by dice that fall the same in every run.

use serde::{Deserialize, Serialize};

/// How often something happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum Times {
    /// `true` always, `false` never.
    Always(bool),
    /// The next so many.
    Count(u64),
    /// Now and then.
    Chance(Chance),
}

/// One of so many, on average; 0 is never.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Chance {
    one_in: u64,
}

impl Default for Times {
    fn default() -> Self {
        Self::Always(false)
    }
}

impl Times {
    /// Whether it may happen at all.
    pub(super) fn is_set(self) -> bool {
        !matches!(self, Self::Always(false) | Self::Count(0) | Self::Chance(Chance { one_in: 0 }))
    }

    /// Whether it happens now; uses up one of a count, or throws the dice.
    pub(super) fn strike(&mut self, dice: &mut Dice) -> bool {
        match self {
            Self::Always(always) => *always,
            Self::Count(0) | Self::Chance(Chance { one_in: 0 }) => false,
            Self::Count(left) => {
                *left -= 1;
                true
            }
            Self::Chance(chance) => dice.throw().is_multiple_of(chance.one_in),
        }
    }
}

/// Dice of one account, or of everybody: the same throws after the same seed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn of(seed: u64) -> Self {
        Self(seed)
    }

    /// SplitMix64: well spread, whatever the seed.
    fn throw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn chance_falls_the_same_after_the_same_seed() {
        let throws = |seed| {
            let (mut times, mut dice) = (serde_json::from_str::<Times>(r#"{"one_in":4}"#).unwrap(), Dice::of(seed));
            (0..400).map(|_| times.strike(&mut dice)).collect::<Vec<_>>()
        };
        assert_eq!(throws(7), throws(7));
        assert_ne!(throws(7), throws(8));
        let struck = throws(7).into_iter().filter(|struck| *struck).count();
        assert!((60..140).contains(&struck), "{struck} of 400");
    }

    #[test]
    fn a_count_runs_out() {
        let (mut times, mut dice) = (Times::Count(2), Dice::default());
        let struck: Vec<_> = (0..3).map(|_| times.strike(&mut dice)).collect();
        assert_eq!((struck, times.is_set()), (vec![true, true, false], false));
    }
}
