//! The six parameter services and the topic `/parameter_events`.

use std::pin::Pin;

use futures::stream::{SelectAll, select_all};
use futures::{Stream, StreamExt};
use r2r::rcl_interfaces::msg::{ListParametersResult, Parameter, ParameterEvent};
use r2r::rcl_interfaces::srv::{
    DescribeParameters, GetParameterTypes, GetParameters, ListParameters, SetParameters, SetParametersAtomically,
};
use r2r::{Publisher, QosProfile, ServiceRequest, WrappedServiceTypeSupport};

use super::entry::{Entry, Given, Target};
use super::table::Parameters;
use super::values::{descriptor, from_message, result, to_message, type_of};
use crate::ros::node_handle::{NodeHandle, RosError};
use crate::ros::ros_time::stamp;

const EVENTS: &str = "/parameter_events";

/// A request of one of the services. It needs a response.
pub(crate) enum ParameterRequest {
    /// List names.
    List(ServiceRequest<ListParameters::Service>),
    /// Describe parameters.
    Describe(ServiceRequest<DescribeParameters::Service>),
    /// Return the types of parameters.
    Types(ServiceRequest<GetParameterTypes::Service>),
    /// Return the values of parameters.
    Get(ServiceRequest<GetParameters::Service>),
    /// Set parameters one by one.
    Set(ServiceRequest<SetParameters::Service>),
    /// Set all parameters or none.
    SetAtomically(ServiceRequest<SetParametersAtomically::Service>),
}

type Requests = Pin<Box<dyn Stream<Item = ParameterRequest> + Send>>;

/// Receives the requests and publishes the changes.
pub(crate) struct ParameterServer {
    requests: SelectAll<Requests>,
    events: Publisher<ParameterEvent>,
    node: String,
}

impl ParameterServer {
    /// Creates the services and the topic.
    ///
    /// # Errors
    /// rcl refuses a name.
    pub(crate) fn serve(handle: &mut NodeHandle) -> Result<Self, RosError> {
        let requests = vec![
            service(handle, "~/list_parameters", ParameterRequest::List)?,
            service(handle, "~/describe_parameters", ParameterRequest::Describe)?,
            service(handle, "~/get_parameter_types", ParameterRequest::Types)?,
            service(handle, "~/get_parameters", ParameterRequest::Get)?,
            service(handle, "~/set_parameters", ParameterRequest::Set)?,
            service(handle, "~/set_parameters_atomically", ParameterRequest::SetAtomically)?,
        ];
        let events = handle.typed_publisher(EVENTS, QosProfile::parameter_events())?;
        Ok(Self { requests: select_all(requests), events, node: handle.full_name() })
    }

    /// The next request.
    pub(crate) async fn next(&mut self) -> Option<ParameterRequest> {
        self.requests.next().await
    }

    /// Responds to a request. Changes go through `target`. `now_ns`: ROS time.
    pub(crate) fn respond(
        &self,
        request: ParameterRequest,
        parameters: &mut Parameters,
        target: &mut dyn Target,
        now_ns: i64,
    ) {
        // Responding fails if the caller or the node is gone.
        let _ = match request {
            ParameterRequest::List(request) => {
                let (names, prefixes) = parameters.list(&request.message.prefixes, request.message.depth);
                request.respond(ListParameters::Response { result: ListParametersResult { names, prefixes } })
            }
            ParameterRequest::Describe(request) => {
                let descriptors = for_each_known(parameters, &request.message.names, descriptor);
                request.respond(DescribeParameters::Response { descriptors })
            }
            ParameterRequest::Types(request) => {
                let types = for_each_known(parameters, &request.message.names, |_, entry| type_of(&entry.value));
                request.respond(GetParameterTypes::Response { types })
            }
            ParameterRequest::Get(request) => {
                let values = for_each_known(parameters, &request.message.names, |_, entry| to_message(&entry.value));
                request.respond(GetParameters::Response { values })
            }
            // One by one, as rclcpp does.
            ParameterRequest::Set(request) => {
                let set = |one: &Parameter| result(self.set(std::slice::from_ref(one), parameters, target, now_ns));
                let results = request.message.parameters.iter().map(set).collect();
                request.respond(SetParameters::Response { results })
            }
            ParameterRequest::SetAtomically(request) => {
                let result = result(self.set(&request.message.parameters, parameters, target, now_ns));
                request.respond(SetParametersAtomically::Response { result })
            }
        };
    }

    /// Publishes that all parameters of the table exist from now on. `now_ns`: ROS time.
    pub(crate) fn announce_declared(&self, parameters: &Parameters, now_ns: i64) {
        let new_parameters = parameters.all().map(|(name, entry)| message(name, entry)).collect();
        self.publish(ParameterEvent { new_parameters, ..ParameterEvent::default() }, now_ns);
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
        self.publish(ParameterEvent { changed_parameters: changed.collect(), ..ParameterEvent::default() }, now_ns);
        Ok(())
    }

    fn publish(&self, event: ParameterEvent, now_ns: i64) {
        // Publishing fails only while the node is being destroyed.
        let _ = self.events.publish(&ParameterEvent { stamp: stamp(now_ns), node: self.node.clone(), ..event });
    }
}

/// Calls `about` for each name. Returns an empty list if one of them is unknown, as rclcpp does.
fn for_each_known<T>(parameters: &Parameters, names: &[String], about: impl Fn(&str, &Entry) -> T) -> Vec<T> {
    let each: Option<Vec<T>> = names.iter().map(|name| Some(about(name, parameters.get(name)?))).collect();
    each.unwrap_or_default()
}

fn message(name: &str, entry: &Entry) -> Parameter {
    Parameter { name: name.into(), value: to_message(&entry.value) }
}

fn service<T>(
    handle: &mut NodeHandle,
    name: &str,
    request: fn(ServiceRequest<T>) -> ParameterRequest,
) -> Result<Requests, RosError>
where
    T: WrappedServiceTypeSupport + 'static,
{
    Ok(Box::pin(handle.service::<T>(name, QosProfile::parameters())?.map(request)))
}
