//! Carries out the transitions of the life cycle. What the states mean for this node:
//!
//! | state | the node |
//! |---|---|
//! | unconfigured | has services and parameters, but no topics of the contract |
//! | inactive | has a warm model and all topics; publishes no command |
//! | active | publishes one command per period |
//! | finalized | answers requests about its state only |
//!
//! A panic of a thread leads to error processing. It publishes the safe action and tears everything
//! down. Then the node is unconfigured and can be configured again.

use super::assembly::Assembly;
use super::context::NodeContext;
use super::error::NodeError;
use super::lifecycle::{Lifecycle, Machine, Outcome, State, Transition, find_request};
use super::parameters::{Change, ParameterRequest, ParameterServer, Parameters, Target};
use super::settings::NodeSettings;
use crate::ros::node_handle::Executor;
use crate::ros::threads::ThreadPanic;

/// The services of the node.
pub(super) struct Services {
    /// The life cycle.
    pub lifecycle: Lifecycle,
    /// The parameters.
    pub parameters: ParameterServer,
}

/// Owns the node's state and changes it.
pub(super) struct Supervisor {
    /// The spinning node.
    pub ros: Executor,
    /// Its services.
    pub services: Services,
    settings: NodeSettings,
    parameters: Parameters,
    context: NodeContext,
    machine: Machine,
    assembly: Option<Assembly>,
    /// Why the last transition failed.
    last_error: Option<NodeError>,
}

impl Supervisor {
    /// The supervisor of an unconfigured node.
    pub(super) fn new(
        ros: Executor,
        services: Services,
        settings: NodeSettings,
        parameters: Parameters,
        context: NodeContext,
    ) -> Self {
        let (machine, assembly, last_error) = (Machine::default(), None, None);
        Self { ros, services, settings, parameters, context, machine, assembly, last_error }
    }

    /// The life cycle's state machine.
    pub(super) fn machine(&self) -> &Machine {
        &self.machine
    }

    /// The configured node, if it is configured.
    pub(super) fn assembly(&self) -> Option<&Assembly> {
        self.assembly.as_ref()
    }

    /// Configures and activates.
    ///
    /// # Errors
    /// Why a transition failed.
    pub(super) fn start(&mut self) -> Result<(), NodeError> {
        for label in ["configure", "activate"] {
            if !self.change_state(0, label) {
                return Err(self.last_error.take().unwrap_or(NodeError::TransitionFailed(label)));
            }
        }
        Ok(())
    }

    /// Shuts the node down from any state. An active node publishes the safe action.
    pub(super) fn shut_down(&mut self) {
        if let Some(transition) = find_request(self.machine.state(), "shutdown") {
            self.carry_out(transition);
        }
    }

    /// Carries out the transition with this label or, if the label is empty, with this id. Returns
    /// true if it succeeded.
    pub(super) fn change_state(&mut self, id: u8, label: &str) -> bool {
        let Some(transition) = self.machine.find(id, label) else {
            let allowed: Vec<&str> = self.machine.available().iter().map(|t| t.label).collect();
            let requested = if label.is_empty() { format!("transition {id}") } else { format!("`{label}`") };
            let text = format!("{requested} is refused: {} allows {allowed:?}", self.machine.state().label());
            self.context.log.warn("refused transition", text);
            return false;
        };
        self.carry_out(transition) == Outcome::Success
    }

    /// Responds to a request about parameters.
    pub(super) fn respond(&mut self, request: ParameterRequest) {
        let mut target =
            NodeTarget { settings: &mut self.settings, state: self.machine.state(), assembly: self.assembly.as_ref() };
        self.services.parameters.respond(request, &mut self.parameters, &mut target, self.context.time.now_ns());
    }

    /// Handles the panic of a thread.
    pub(super) fn on_fault(&mut self, panic: &ThreadPanic) {
        self.context.log.error("fault", format!("{panic}; the safe action is published"));
        match self.machine.fail() {
            Some(transition) => {
                self.announce(&transition);
                self.process_error();
            }
            // The node is not active, so there is no error processing: free everything all the
            // same.
            None => drop(self.disassemble()),
        }
    }

    fn carry_out(&mut self, transition: Transition) -> Outcome {
        self.machine.start(&transition);
        self.announce(&transition);
        let result = match transition.to {
            State::Configuring => self.configure(),
            State::Activating => self.activate(),
            State::Deactivating => {
                self.deactivate();
                Ok(())
            }
            // Cleaning up and shutting down.
            _ => self.disassemble(),
        };
        let outcome = match result {
            Ok(()) => Outcome::Success,
            Err(error) => {
                self.context.log.error("transition", format!("{}: {error}", transition.label));
                self.last_error = Some(error);
                // A failed build leaves nothing behind. A failed teardown leaves the node broken.
                let builds = matches!(transition.to, State::Configuring | State::Activating);
                if builds { Outcome::Failure } else { Outcome::Error }
            }
        };
        self.finish(outcome);
        if self.machine.state() == State::ErrorProcessing {
            self.process_error();
        }
        outcome
    }

    fn finish(&mut self, outcome: Outcome) {
        if let Some(transition) = self.machine.finish(outcome) {
            self.announce(&transition);
        }
    }

    fn process_error(&mut self) {
        let outcome = if self.disassemble().is_ok() { Outcome::Success } else { Outcome::Failure };
        self.finish(outcome);
        let state = self.machine.state().label();
        self.context
            .log
            .warn("after an error", format!("the node is {state}; restart it with `configure` and `activate`"));
    }

    fn configure(&mut self) -> Result<(), NodeError> {
        self.assembly = Some(Assembly::build(&self.settings, &mut self.parameters, &self.ros, &self.context)?);
        self.services.parameters.announce_declared(&self.parameters, self.context.time.now_ns());
        for (name, similar) in self.parameters.unknown() {
            let hint = similar.map_or(String::new(), |similar| format!("; did you mean `{similar}`?"));
            self.context
                .log
                .warn_each(format!("parameter `{name}` was given, but the node has no such parameter{hint}"));
        }
        Ok(())
    }

    fn activate(&mut self) -> Result<(), NodeError> {
        let Some(assembly) = &mut self.assembly else { return Err(NodeError::TransitionFailed("activate")) };
        assembly.start()?;
        let (period, checkpoint) = (assembly.period(), &assembly.identity.checkpoint);
        self.context.log.info("active", format!("planning every {period:?} with {checkpoint}"));
        Ok(())
    }

    fn deactivate(&mut self) {
        if let Some(assembly) = &mut self.assembly {
            assembly.stop();
        }
    }

    fn disassemble(&mut self) -> Result<(), NodeError> {
        match self.assembly.take() {
            Some(assembly) => Ok(assembly.teardown(&self.ros)?),
            None => Ok(()),
        }
    }

    fn announce(&self, transition: &Transition) {
        self.services.lifecycle.announce(transition, self.context.time.now_ns());
    }
}

/// Applies changed parameters to the node.
struct NodeTarget<'a> {
    settings: &'a mut NodeSettings,
    state: State,
    assembly: Option<&'a Assembly>,
}

impl Target for NodeTarget<'_> {
    fn may_configure(&self, name: &str) -> Result<(), String> {
        if self.state == State::Unconfigured {
            return Ok(());
        }
        let state = self.state.label();
        Err(format!(
            "parameter '{name}' is read by `configure`: it can be set while the node is unconfigured, not {state}"
        ))
    }

    fn apply(&mut self, change: &Change) -> Result<(), String> {
        let mut settings = self.settings.clone();
        for (name, value) in &change.start {
            settings.set(name, value)?;
        }
        if let Some(assembly) = self.assembly {
            assembly.updates.apply(change)?;
        }
        *self.settings = settings;
        Ok(())
    }
}
