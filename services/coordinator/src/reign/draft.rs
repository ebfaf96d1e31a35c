//! An entry in the making.

use crate::{command::Command, state::State};
use std::sync::Arc;

/// The commands so far, and the state as it will be after them.
#[derive(Debug)]
pub(crate) struct Draft {
    state: Arc<State>,
    commands: Vec<Command>,
}

impl Draft {
    pub(crate) fn new(state: Arc<State>) -> Self {
        Self { state, commands: Vec::new() }
    }

    /// Adds a command, if it changes anything; says whether it does.
    pub(crate) fn add(&mut self, command: Command) -> bool {
        // The index may turn out higher: only the order of epochs counts here, and each is the highest.
        let index = self.state.index() + u64::from(self.commands.is_empty());
        let changed = Arc::make_mut(&mut self.state).try_apply(index, &command);
        if changed {
            self.commands.push(command);
        }
        changed
    }

    pub(crate) fn state(&self) -> &State {
        &self.state
    }

    pub(crate) fn into_commands(self) -> Vec<Command> {
        self.commands
    }
}
