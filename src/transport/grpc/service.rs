//! The calls besides inference.

use std::{collections::HashMap, sync::Arc};

use tonic::{Request, Response, Status};

use super::{Context, proto::*, refusal};
use crate::{
    catalog::{Control, Lease, Servable, State},
    error::{Error, Result},
    telemetry::{self, Time},
    tensor::{DType, TensorSpec},
    transport::inference::{self, EXTENSIONS, PLATFORM, SERVER},
};

/// The service of the Open Inference Protocol.
pub(super) struct Inference(pub(super) Arc<Context>);

type Answer<T> = Result<Response<T>, Status>;

impl Inference {
    fn lease(&self, model: &str, version: &str) -> Result<Lease, Status> {
        inference::lease(&self.0.catalog, model, version).map_err(|e| refusal(&e))
    }

    fn control(&self) -> Result<&Control, Status> {
        let control = self.0.control.as_ref();
        control.ok_or_else(|| refusal(&Error::unsupported(inference::NO_CONTROL)))
    }
}

fn no_shared_memory<T>() -> Answer<T> {
    Err(refusal(&Error::unsupported(inference::NO_SHARED_MEMORY)))
}

fn no_settings<T>() -> Answer<T> {
    Err(refusal(&Error::unsupported(inference::NO_SETTINGS)))
}

/// Refuses the name of a repository: there is one, without a name.
fn the_repository(name: &str) -> Result<()> {
    if name.is_empty() {
        return Ok(());
    }
    Err(Error::unsupported(format!(
        "there is one model repository here, and it has no name: leave repository_name \"{}\" out",
        inference::short(name)
    )))
}

/// Refuses what a call that unloads a model has no use for.
fn dependents(parameters: &HashMap<String, ModelRepositoryParameter>) -> Result<()> {
    use model_repository_parameter::ParameterChoice::BoolParam;
    inference::refuse_beside_dependents(parameters.keys().map(String::as_str))?;
    let is_flag =
        |p: &ModelRepositoryParameter| matches!(p.parameter_choice, None | Some(BoolParam(_)));
    if parameters.values().all(is_flag) {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "the parameter {} is not true or false",
        inference::UNLOAD_DEPENDENTS
    )))
}

#[tonic::async_trait]
impl grpc_inference_service_server::GrpcInferenceService for Inference {
    async fn server_live(&self, _: Request<ServerLiveRequest>) -> Answer<ServerLiveResponse> {
        Ok(Response::new(ServerLiveResponse { live: true }))
    }

    async fn server_ready(&self, _: Request<ServerReadyRequest>) -> Answer<ServerReadyResponse> {
        let ready = self.0.readiness.is_ready();
        Ok(Response::new(ServerReadyResponse { ready }))
    }

    async fn model_ready(&self, request: Request<ModelReadyRequest>) -> Answer<ModelReadyResponse> {
        let asked = request.into_inner();
        self.lease(&asked.name, &asked.version)?;
        Ok(Response::new(ModelReadyResponse { ready: true }))
    }

    async fn server_metadata(
        &self,
        _: Request<ServerMetadataRequest>,
    ) -> Answer<ServerMetadataResponse> {
        Ok(Response::new(ServerMetadataResponse {
            name: SERVER.to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            extensions: EXTENSIONS.iter().map(ToString::to_string).collect(),
        }))
    }

    async fn model_metadata(
        &self,
        request: Request<ModelMetadataRequest>,
    ) -> Answer<ModelMetadataResponse> {
        let asked = request.into_inner();
        let lease = self.lease(&asked.name, &asked.version)?;
        let tensor = |spec: &TensorSpec| model_metadata_response::TensorMetadata {
            name: spec.name.to_string(),
            datatype: spec.dtype.name().to_owned(),
            shape: spec.protocol_shape(),
        };
        let signature = lease.signature();
        Ok(Response::new(ModelMetadataResponse {
            name: lease.id().name.to_string(),
            versions: inference::versions(&self.0.catalog, &lease.id().name),
            platform: PLATFORM.to_owned(),
            inputs: signature.inputs.iter().map(tensor).collect(),
            outputs: signature.outputs.iter().map(tensor).collect(),
        }))
    }

    async fn model_config(
        &self,
        request: Request<ModelConfigRequest>,
    ) -> Answer<ModelConfigResponse> {
        let asked = request.into_inner();
        let lease = self.lease(&asked.name, &asked.version)?;
        Ok(Response::new(ModelConfigResponse {
            config: Some(configuration(&lease)),
        }))
    }

    async fn model_statistics(
        &self,
        request: Request<ModelStatisticsRequest>,
    ) -> Answer<ModelStatisticsResponse> {
        let asked = request.into_inner();
        let snapshot = self.0.catalog.snapshot();
        let model_stats = if asked.name.is_empty() {
            snapshot.servables().map(|s| statistics(s)).collect()
        } else {
            let lease = self.lease(&asked.name, &asked.version)?;
            match snapshot.models().get(&*asked.name) {
                Some(versions) if asked.version.is_empty() => {
                    versions.values().map(|s| statistics(s)).collect()
                }
                _ => vec![statistics(&lease)],
            }
        };
        Ok(Response::new(ModelStatisticsResponse { model_stats }))
    }

    async fn repository_index(
        &self,
        request: Request<RepositoryIndexRequest>,
    ) -> Answer<RepositoryIndexResponse> {
        let asked = request.into_inner();
        the_repository(&asked.repository_name).map_err(|e| refusal(&e))?;
        let ready_only = asked.ready;
        let models = self
            .0
            .catalog
            .states()
            .into_iter()
            .filter(|s| !ready_only || s.state == State::Ready)
            .map(|s| repository_index_response::ModelIndex {
                name: s.name.to_string(),
                version: s.version,
                state: s.state.name().to_owned(),
                reason: s.reason.unwrap_or_default(),
            })
            .collect();
        Ok(Response::new(RepositoryIndexResponse { models }))
    }

    async fn repository_model_load(
        &self,
        request: Request<RepositoryModelLoadRequest>,
    ) -> Answer<RepositoryModelLoadResponse> {
        let control = self.control()?;
        let asked = request.into_inner();
        let load = async {
            the_repository(&asked.repository_name)?;
            inference::refuse_overrides(asked.parameters.keys().map(String::as_str))?;
            control.load(asked.model_name).await
        };
        load.await.map_err(|e| refusal(&e))?;
        Ok(Response::new(RepositoryModelLoadResponse {}))
    }

    async fn repository_model_unload(
        &self,
        request: Request<RepositoryModelUnloadRequest>,
    ) -> Answer<RepositoryModelUnloadResponse> {
        let control = self.control()?;
        let asked = request.into_inner();
        let unload = async {
            the_repository(&asked.repository_name)?;
            dependents(&asked.parameters)?;
            control.unload(asked.model_name).await
        };
        unload.await.map_err(|e| refusal(&e))?;
        Ok(Response::new(RepositoryModelUnloadResponse {}))
    }

    async fn system_shared_memory_status(
        &self,
        _: Request<SystemSharedMemoryStatusRequest>,
    ) -> Answer<SystemSharedMemoryStatusResponse> {
        no_shared_memory()
    }

    async fn system_shared_memory_register(
        &self,
        _: Request<SystemSharedMemoryRegisterRequest>,
    ) -> Answer<SystemSharedMemoryRegisterResponse> {
        no_shared_memory()
    }

    async fn system_shared_memory_unregister(
        &self,
        _: Request<SystemSharedMemoryUnregisterRequest>,
    ) -> Answer<SystemSharedMemoryUnregisterResponse> {
        no_shared_memory()
    }

    async fn cuda_shared_memory_status(
        &self,
        _: Request<CudaSharedMemoryStatusRequest>,
    ) -> Answer<CudaSharedMemoryStatusResponse> {
        no_shared_memory()
    }

    async fn cuda_shared_memory_register(
        &self,
        _: Request<CudaSharedMemoryRegisterRequest>,
    ) -> Answer<CudaSharedMemoryRegisterResponse> {
        no_shared_memory()
    }

    async fn cuda_shared_memory_unregister(
        &self,
        _: Request<CudaSharedMemoryUnregisterRequest>,
    ) -> Answer<CudaSharedMemoryUnregisterResponse> {
        no_shared_memory()
    }

    async fn trace_setting(
        &self,
        request: Request<TraceSettingRequest>,
    ) -> Answer<TraceSettingResponse> {
        if !request.into_inner().settings.is_empty() {
            return no_settings();
        }
        let off = trace_setting_response::SettingValue {
            value: vec!["OFF".to_owned()],
        };
        Ok(Response::new(TraceSettingResponse {
            settings: [("trace_level".to_owned(), off)].into(),
        }))
    }

    async fn log_settings(
        &self,
        request: Request<LogSettingsRequest>,
    ) -> Answer<LogSettingsResponse> {
        use log_settings_response::{SettingValue, setting_value::ParameterChoice};
        if !request.into_inner().settings.is_empty() {
            return no_settings();
        }
        let [error, warning, info, verbose] = inference::logged();
        let setting = |name: &str, value| {
            let value = SettingValue {
                parameter_choice: Some(value),
            };
            (name.to_owned(), value)
        };
        Ok(Response::new(LogSettingsResponse {
            settings: [
                setting("log_error", ParameterChoice::BoolParam(error)),
                setting("log_warning", ParameterChoice::BoolParam(warning)),
                setting("log_info", ParameterChoice::BoolParam(info)),
                setting(
                    "log_verbose_level",
                    ParameterChoice::Uint32Param(verbose.into()),
                ),
            ]
            .into(),
        }))
    }
}

/// What clients that measure read of a model's configuration.
fn configuration(lease: &Lease) -> ModelConfig {
    let plan = &lease.card().scheduling;
    let max_batch_size = inference::max_batch_size(lease);
    let is_batched = max_batch_size > 0;
    let count = |n: usize| i32::try_from(n).unwrap_or(i32::MAX);
    let signature = lease.signature();
    ModelConfig {
        name: lease.id().name.to_string(),
        platform: PLATFORM.to_owned(),
        backend: "onnxruntime".to_owned(),
        max_batch_size: count(max_batch_size),
        input: signature
            .inputs
            .iter()
            .map(|spec| ModelInput {
                name: spec.name.to_string(),
                data_type: data_type(spec.dtype).into(),
                dims: inference::configured_dims(spec, is_batched),
                optional: spec.optional,
            })
            .collect(),
        output: signature
            .outputs
            .iter()
            .map(|spec| ModelOutput {
                name: spec.name.to_string(),
                data_type: data_type(spec.dtype).into(),
                dims: inference::configured_dims(spec, is_batched),
            })
            .collect(),
        instance_group: vec![ModelInstanceGroup {
            name: lease.id().name.to_string(),
            count: count(plan.instances),
            kind: model_instance_group::Kind::Cpu.into(),
        }],
        model_transaction_policy: Some(ModelTransactionPolicy { decoupled: false }),
        scheduling_choice: is_batched.then(|| {
            model_config::SchedulingChoice::DynamicBatching(ModelDynamicBatching {
                max_queue_delay_microseconds: u64::try_from(plan.max_queue_delay.as_micros())
                    .unwrap_or(u64::MAX),
                default_queue_policy: Some(ModelQueuePolicy {
                    max_queue_size: u32::try_from(plan.max_queue_size).unwrap_or(u32::MAX),
                    ..ModelQueuePolicy::default()
                }),
                ..ModelDynamicBatching::default()
            })
        }),
        ..ModelConfig::default()
    }
}

fn data_type(dtype: DType) -> DataType {
    DataType::from_str_name(&inference::configured_type(dtype)).unwrap_or(DataType::TypeInvalid)
}

fn statistics(servable: &Servable) -> ModelStatistics {
    let telemetry::Statistics {
        last_inference,
        inference_count,
        execution_count,
        inference_stats: stats,
        batch_stats,
    } = servable.metrics().statistics();
    ModelStatistics {
        name: servable.id().name.to_string(),
        version: servable.version_text().to_string(),
        last_inference,
        inference_count,
        execution_count,
        inference_stats: Some(InferStatistics {
            success: time(stats.success),
            fail: time(stats.fail),
            queue: time(stats.queue),
            compute_input: time(stats.compute_input),
            compute_infer: time(stats.compute_infer),
            compute_output: time(stats.compute_output),
            cache_hit: time(stats.cache_hit),
            cache_miss: time(stats.cache_miss),
        }),
        batch_stats: batch_stats
            .into_iter()
            .map(|b| InferBatchStatistics {
                batch_size: b.batch_size,
                compute_input: time(b.compute_input),
                compute_infer: time(b.compute_infer),
                compute_output: time(b.compute_output),
            })
            .collect(),
        ..ModelStatistics::default()
    }
}

#[expect(clippy::unnecessary_wraps, reason = "protobuf's messages are options")]
fn time(time: Time) -> Option<StatisticDuration> {
    Some(StatisticDuration {
        count: time.count,
        ns: time.ns,
    })
}
