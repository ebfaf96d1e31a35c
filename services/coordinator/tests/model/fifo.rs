//! A short queue without an allocation: states are cloned, compared and hashed by the million.

/// At most `N` items, oldest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Fifo<T, const N: usize> {
    items: [Option<T>; N],
}

impl<T: Copy + Ord, const N: usize> Fifo<T, N> {
    pub(crate) fn new() -> Self {
        Self { items: [None; N] }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = T> {
        self.items.iter().copied().flatten()
    }

    pub(crate) fn len(&self) -> usize {
        self.iter().count()
    }

    pub(crate) fn has_room(&self) -> bool {
        self.len() < N
    }

    /// Adds an item. A scope that overfills a queue is a mistake in the scope, and must not pass as "nothing happened".
    pub(crate) fn push(&mut self, item: T) {
        assert!(self.has_room(), "a queue of the model is too short for its scope");
        if let Some(place) = self.items.iter_mut().find(|place| place.is_none()) {
            *place = Some(item);
        }
    }

    /// Adds to a bag, whose order means nothing: kept sorted, so that one bag is one state.
    pub(crate) fn put(&mut self, item: T) {
        self.push(item);
        self.items.sort_unstable_by_key(|item| (item.is_none(), *item));
    }

    pub(crate) fn remove(&mut self, at: usize) -> Option<T> {
        let item = self.items.get_mut(at).and_then(Option::take);
        self.items[at..].rotate_left(1);
        item
    }
}
