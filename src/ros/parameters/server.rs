//! The six services by which others see and set the parameters, and the topic `/parameter_events`.

use std::pin::Pin;

use futures::stream::{SelectAll, select_all};
use futures::{Stream, StreamExt};
use r2r::rcl_interfaces::msg::{ListParametersResult, Parameter, ParameterEvent};
use r2r::rcl_interfaces::srv::{
    DescribeParameters, GetParameterTypes, GetParameters, ListParameters, SetParameters, SetParametersAtomically,
};
use r2r::{Publisher, QosProfile, ServiceRequest, WrappedServiceTypeSupport};

use super::table::{Entry, Given, Parameters, Target};
use super::values::{descriptor, from_message, result, to_message, type_of};
use crate::ros::bridge::{Bridge, RosError};
use crate::ros::timing::stamp;

const EVENTS: &str = "/parameter_events";

/// A call of one of the services, to be answered.
pub enum ParameterCall {
    List(ServiceRequest<ListParameters::Service>),
    Describe(ServiceRequest<DescribeParameters::Service>),
    Types(ServiceRequest<GetParameterTypes::Service>),
    Get(ServiceRequest<GetParameters::Service>),
    Set(ServiceRequest<SetParameters::Service>),
    SetAtomically(ServiceRequest<SetParametersAtomically::Service>),
}

type Calls = Pin<Box<dyn Stream<Item = ParameterCall> + Send>>;

/// The services' calls and the topic.
pub struct ParameterServer {
    calls: SelectAll<Calls>,
    events: Publisher<ParameterEvent>,
    node: String,
}

impl ParameterServer {
    /// Creates the services and the topic.
    ///
    /// # Errors
    /// As rcl says.
    pub fn serve(bridge: &mut Bridge) -> Result<Self, RosError> {
        let calls = vec![
            service(bridge, "~/list_parameters", ParameterCall::List)?,
            service(bridge, "~/describe_parameters", ParameterCall::Describe)?,
            service(bridge, "~/get_parameter_types", ParameterCall::Types)?,
            service(bridge, "~/get_parameters", ParameterCall::Get)?,
            service(bridge, "~/set_parameters", ParameterCall::Set)?,
            service(bridge, "~/set_parameters_atomically", ParameterCall::SetAtomically)?,
        ];
        let events = bridge.typed_publisher(EVENTS, QosProfile::parameter_events())?;
        Ok(Self { calls: select_all(calls), events, node: bridge.full_name() })
    }

    /// The next call.
    pub async fn next(&mut self) -> Option<ParameterCall> {
        self.calls.next().await
    }

    /// Answers a call. `now_ns`: ROS time.
    pub fn answer(&self, call: ParameterCall, parameters: &mut Parameters, target: &mut dyn Target, now_ns: i64) {
        // An answer that cannot be sent: the caller, or the node, is gone.
        let _ = match call {
            ParameterCall::List(call) => {
                let (names, prefixes) = parameters.list(&call.message.prefixes, call.message.depth);
                call.respond(ListParameters::Response { result: ListParametersResult { names, prefixes } })
            }
            ParameterCall::Describe(call) => {
                let descriptors = known(parameters, &call.message.names, descriptor);
                call.respond(DescribeParameters::Response { descriptors })
            }
            ParameterCall::Types(call) => {
                let types = known(parameters, &call.message.names, |_, entry| type_of(&entry.value));
                call.respond(GetParameterTypes::Response { types })
            }
            ParameterCall::Get(call) => {
                let values = known(parameters, &call.message.names, |_, entry| to_message(&entry.value));
                call.respond(GetParameters::Response { values })
            }
            // Each alone, as rclcpp does.
            ParameterCall::Set(call) => {
                let set = |one: &Parameter| result(self.set(std::slice::from_ref(one), parameters, target, now_ns));
                let results = call.message.parameters.iter().map(set).collect();
                call.respond(SetParameters::Response { results })
            }
            ParameterCall::SetAtomically(call) => {
                let result = result(self.set(&call.message.parameters, parameters, target, now_ns));
                call.respond(SetParametersAtomically::Response { result })
            }
        };
    }

    /// Tells those who listen of parameters that are there from now on.
    pub fn declared(&self, parameters: &Parameters, now_ns: i64) {
        let new_parameters = parameters.all().map(|(name, entry)| message(name, entry)).collect();
        self.tell(ParameterEvent { new_parameters, ..ParameterEvent::default() }, now_ns);
    }

    fn set(
        &self,
        changes: &[Parameter],
        parameters: &mut Parameters,
        target: &mut dyn Target,
        now_ns: i64,
    ) -> Result<(), String> {
        let given: Vec<(String, Given)> =
            changes.iter().map(|change| (change.name.clone(), from_message(&change.value))).collect();
        parameters.set(&given, target)?;
        let changed = changes.iter().filter_map(|c| Some(message(&c.name, parameters.get(&c.name)?)));
        self.tell(ParameterEvent { changed_parameters: changed.collect(), ..ParameterEvent::default() }, now_ns);
        Ok(())
    }

    fn tell(&self, event: ParameterEvent, now_ns: i64) {
        // Fails only where the node is being destroyed: nobody listens any more.
        let _ = self.events.publish(&ParameterEvent { stamp: stamp(now_ns), node: self.node.clone(), ..event });
    }
}

/// Something about each of the parameters; nothing at all where one of them is unknown, as rclcpp does.
fn known<T>(parameters: &Parameters, names: &[String], about: impl Fn(&str, &Entry) -> T) -> Vec<T> {
    let each: Option<Vec<T>> = names.iter().map(|name| Some(about(name, parameters.get(name)?))).collect();
    each.unwrap_or_default()
}

fn message(name: &str, entry: &Entry) -> Parameter {
    Parameter { name: name.into(), value: to_message(&entry.value) }
}

fn service<T>(bridge: &mut Bridge, name: &str, call: fn(ServiceRequest<T>) -> ParameterCall) -> Result<Calls, RosError>
where
    T: WrappedServiceTypeSupport + 'static,
{
    Ok(Box::pin(bridge.service::<T>(name, QosProfile::parameters())?.map(call)))
}
