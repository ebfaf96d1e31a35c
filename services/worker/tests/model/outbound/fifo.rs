//! A short queue without an allocation: states are cloned and hashed by the million.

/// At most `N` items, oldest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Fifo<T, const N: usize> {
    items: [Option<T>; N],
}

impl<T: Copy + Ord, const N: usize> Fifo<T, N> {
    /// Puts the items in order: for a bag, whose order means nothing.
    pub(crate) fn sort(&mut self) {
        self.items.sort_unstable_by_key(|item| (item.is_none(), *item));
    }
}

impl<T: Copy, const N: usize> Fifo<T, N> {
    pub(crate) fn new() -> Self {
        Self { items: [None; N] }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = T> {
        self.items.iter().copied().flatten()
    }

    pub(crate) fn len(&self) -> usize {
        self.iter().count()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.front().is_none()
    }

    pub(crate) fn room(&self) -> usize {
        N - self.len()
    }

    /// Adds an item; one that finds no room is dropped, so callers look for room before.
    pub(crate) fn push(&mut self, item: T) {
        if let Some(place) = self.items.iter_mut().find(|place| place.is_none()) {
            *place = Some(item);
        }
    }

    pub(crate) fn front(&self) -> Option<T> {
        self.items.first().copied().flatten()
    }

    pub(crate) fn front_mut(&mut self) -> Option<&mut T> {
        self.items.first_mut().and_then(Option::as_mut)
    }

    pub(crate) fn pop(&mut self) -> Option<T> {
        self.remove(0)
    }

    pub(crate) fn remove(&mut self, at: usize) -> Option<T> {
        let item = self.items.get_mut(at).and_then(Option::take);
        self.items[at..].rotate_left(1);
        item
    }
}
