//! The whole graph of a scope. Every property in every state; and liveness: from every state, however it came about, steps that
//! are owed lead to one in which everything is settled, so that neither a dead end nor a circle of owed steps passes.

use super::{
    properties,
    world::{Action, State, World},
};
use stateright::Model as _;
use std::{
    collections::{HashMap, VecDeque, hash_map::Entry},
    hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher},
};

/// What the exploration of a scope found.
pub(crate) struct Explored {
    pub(crate) states: usize,
    /// How many steps the last one is away.
    pub(crate) depth: usize,
    /// A property that does not hold, or that some state cannot settle; and the shortest way there.
    pub(crate) wrong: Option<(&'static str, Vec<Action>)>,
}

const SETTLES: &str = "I1, I9: from every state, what is owed leads to a settled one";

/// States are known by their hash, as in stateright: there are too many to keep.
#[derive(Default)]
struct Graph {
    numbers: HashMap<u64, u32>,
    /// How each state was reached first.
    first: Vec<Option<(u32, Action)>>,
    settled: Vec<bool>,
    /// Owed steps, backwards.
    owed_from: Vec<Vec<u32>>,
    queue: VecDeque<(u32, State)>,
}

/// Explores a scope to the end, unless a property fails.
pub(crate) fn explore(world: &World) -> Explored {
    // Dead ends show in the graph.
    let mut properties = world.properties();
    properties.retain(|property| property.name != properties::SETTLES);
    let mut graph = Graph::default();
    for state in world.init_states() {
        graph.number(world, state, None);
    }
    let mut actions = Vec::new();
    while let Some((at, state)) = graph.queue.pop_front() {
        if let Some(property) = properties.iter().find(|property| !(property.condition)(world, &state)) {
            return graph.explored(Some((property.name, at)));
        }
        actions.clear();
        world.owed(&state, &mut actions);
        let owed = actions.len();
        world.possible(&state, &mut actions);
        for (place, action) in actions.drain(..).enumerate() {
            let Some(next) = world.next_state(&state, action) else { continue };
            let next = graph.number(world, next, Some((at, action)));
            if place < owed {
                graph.owed_from[next as usize].push(at);
            }
        }
    }
    let lost = graph.cannot_settle();
    graph.explored(lost.map(|at| (SETTLES, at)))
}

impl Graph {
    fn number(&mut self, world: &World, state: State, by: Option<(u32, Action)>) -> u32 {
        let hash = BuildHasherDefault::<DefaultHasher>::new().hash_one(state);
        match self.numbers.entry(hash) {
            Entry::Occupied(known) => *known.get(),
            Entry::Vacant(unknown) => {
                let new = *unknown.insert(self.first.len() as u32);
                self.first.push(by);
                self.settled.push(state.is_settled(&world.scope));
                self.owed_from.push(Vec::new());
                self.queue.push_back((new, state));
                new
            }
        }
    }

    fn explored(&self, wrong: Option<(&'static str, u32)>) -> Explored {
        let last = self.first.len().saturating_sub(1) as u32;
        let wrong = wrong.map(|(property, at)| (property, self.way_to(at)));
        Explored { states: self.first.len(), depth: self.way_to(last).len(), wrong }
    }

    fn way_to(&self, mut at: u32) -> Vec<Action> {
        let mut way = Vec::new();
        while let Some((before, action)) = self.first[at as usize] {
            way.push(action);
            at = before;
        }
        way.reverse();
        way
    }

    /// The first state from which nothing owed leads to a settled one.
    fn cannot_settle(&self) -> Option<u32> {
        let mut settles = self.settled.clone();
        let mut queue: Vec<u32> = (0..settles.len() as u32).filter(|at| settles[*at as usize]).collect();
        while let Some(at) = queue.pop() {
            for before in &self.owed_from[at as usize] {
                if !std::mem::replace(&mut settles[*before as usize], true) {
                    queue.push(*before);
                }
            }
        }
        settles.iter().position(|settles| !settles).map(|at| at as u32)
    }
}
