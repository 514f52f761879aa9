//! What the states of the life cycle mean for this node:
//!
//! | state | the node |
//! |---|---|
//! | unconfigured | has services and parameters, no topics of the contract |
//! | inactive | model loaded and warmed, topics subscribed and advertised; publishes no command |
//! | active | ticks: one command per period |
//! | finalized | answers questions about its state, nothing more |
//!
//! An error (a thread that died) leads through error processing, which publishes the safe action and frees everything, to
//! unconfigured: `configure` and `activate` start anew.

use super::assembly::{Assembly, Surroundings};
use super::bridge::Spinning;
use super::driving::Fault;
use super::lifecycle::{Lifecycle, Machine, Outcome, State, Transition, request};
use super::node::NodeError;
use super::parameters::{Change, ParameterCall, ParameterServer, Parameters, Target};
use super::settings::Settings;

/// What others ask the node by services.
pub struct Served {
    pub lifecycle: Lifecycle,
    pub parameters: ParameterServer,
}

/// Carries out transitions.
pub struct Supervisor {
    pub ros: Spinning,
    pub served: Served,
    pub settings: Settings,
    parameters: Parameters,
    around: Surroundings,
    machine: Machine,
    assembly: Option<Assembly>,
    /// Why the last transition failed.
    refusal: Option<NodeError>,
}

impl Supervisor {
    pub fn new(
        ros: Spinning,
        served: Served,
        settings: Settings,
        parameters: Parameters,
        around: Surroundings,
    ) -> Self {
        Self { ros, served, settings, parameters, around, machine: Machine::default(), assembly: None, refusal: None }
    }

    pub fn machine(&self) -> &Machine {
        &self.machine
    }

    pub fn assembly(&self) -> Option<&Assembly> {
        self.assembly.as_ref()
    }

    /// Configures and activates.
    ///
    /// # Errors
    /// Why it did not come to that.
    pub fn start(&mut self) -> Result<(), NodeError> {
        for label in ["configure", "activate"] {
            if !self.change(0, label) {
                return Err(self.refusal.take().unwrap_or(NodeError::Refused(label)));
            }
        }
        Ok(())
    }

    /// The node's end, from whatever state: what was active publishes the safe action.
    pub fn shut_down(&mut self) {
        if let Some(transition) = request(self.machine.state(), "shutdown") {
            self.carry_out(transition);
        }
    }

    /// Carries out the transition that is asked for by label or else by id; whether it succeeded.
    pub fn change(&mut self, id: u8, label: &str) -> bool {
        let Some(transition) = self.machine.find(id, label) else {
            let allowed: Vec<&str> = self.machine.available().iter().map(|t| t.label).collect();
            let asked = if label.is_empty() { format!("transition {id}") } else { format!("`{label}`") };
            let text = format!("{asked} is refused: {} allows {allowed:?}", self.machine.state().label());
            self.around.notices.warn("refused transition", text);
            return false;
        };
        self.carry_out(transition) == Outcome::Success
    }

    /// Answers a call about parameters.
    pub fn answer(&mut self, call: ParameterCall) {
        let mut owner =
            Owner { settings: &mut self.settings, state: self.machine.state(), assembly: self.assembly.as_ref() };
        self.served.parameters.answer(call, &mut self.parameters, &mut owner, self.around.time.now_ns());
    }

    /// A thread died.
    pub fn broke(&mut self, fault: &Fault) {
        self.around.notices.error("fault", format!("{fault}; the safe action is published"));
        match self.machine.break_down() {
            Some(transition) => {
                self.announce(&transition);
                self.process_error();
            }
            // It died while the node was being stopped, or never was active: take it apart all the same.
            None => drop(self.take_apart()),
        }
    }

    fn carry_out(&mut self, transition: Transition) -> Outcome {
        self.machine.start(&transition);
        self.announce(&transition);
        let done = match transition.to {
            State::Configuring => self.configure(),
            State::Activating => self.activate(),
            State::Deactivating => {
                self.deactivate();
                Ok(())
            }
            // Cleaning up and shutting down.
            _ => self.take_apart(),
        };
        let outcome = match done {
            Ok(()) => Outcome::Success,
            Err(error) => {
                self.around.notices.error("transition", format!("{}: {error}", transition.label));
                self.refusal = Some(error);
                // What cannot be taken apart is broken; what cannot be built has merely been refused.
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
        if let Some(ended) = self.machine.finish(outcome) {
            self.announce(&ended);
        }
    }

    fn process_error(&mut self) {
        let outcome = if self.take_apart().is_ok() { Outcome::Success } else { Outcome::Failure };
        self.finish(outcome);
        let text = format!("the node is {}; `configure` and `activate` start it anew", self.machine.state().label());
        self.around.notices.warn("after an error", text);
    }

    fn configure(&mut self) -> Result<(), NodeError> {
        self.assembly = Some(Assembly::build(&self.settings, &mut self.parameters, &self.ros, &self.around)?);
        self.served.parameters.declared(&self.parameters, self.around.time.now_ns());
        for (name, meant) in self.parameters.unknown() {
            let meant = meant.map_or(String::new(), |meant| format!("; is `{meant}` meant?"));
            let text = format!("parameter `{name}` was given, but there is none of this name{meant}");
            self.around.notices.warn(text.clone(), text);
        }
        Ok(())
    }

    fn activate(&mut self) -> Result<(), NodeError> {
        let Some(assembly) = &mut self.assembly else { return Err(NodeError::Refused("activate")) };
        assembly.start()?;
        let (period, checkpoint) = (assembly.period(), &assembly.identity.checkpoint);
        self.around.notices.info("active", format!("planning every {period:?} with {checkpoint}"));
        Ok(())
    }

    fn deactivate(&mut self) {
        if let Some(assembly) = &mut self.assembly {
            assembly.stop();
        }
    }

    fn take_apart(&mut self) -> Result<(), NodeError> {
        match self.assembly.take() {
            Some(assembly) => Ok(assembly.dismantle(&self.ros)?),
            None => Ok(()),
        }
    }

    fn announce(&self, transition: &Transition) {
        self.served.lifecycle.announce(transition, self.around.time.now_ns());
    }
}

/// Whom parameters belong to.
struct Owner<'a> {
    settings: &'a mut Settings,
    state: State,
    assembly: Option<&'a Assembly>,
}

impl Target for Owner<'_> {
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
            assembly.tuning.apply(change)?;
        }
        *self.settings = settings;
        Ok(())
    }
}
