//! DataFusion set up our way: memory pool, spill folder, caches, settings, optimizer rules.

use std::path::PathBuf;
use std::sync::Arc;

use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::TrackConsumersPool;
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::execution::{SessionState, SessionStateBuilder};
use datafusion::prelude::SessionConfig;
use parking_lot::Mutex;
use url::Url;

use crate::buffer::Buffer;
use crate::engine::compact::CompactSorted;
use crate::engine::memory::SharedMemory;
use crate::engine::yielding::YieldingJoins;
use crate::engine::{Engine, shim};
use crate::error::{Error, Result};
use crate::tables::Stores;

/// The limits and folders the engine works with.
#[derive(Clone, Debug)]
pub struct EngineConfig {
    /// Memory that all statements share, in bytes.
    pub memory_bytes_max: usize,
    /// Where operators that outgrow their memory write.
    pub spill_folder: PathBuf,
    /// Bytes that all spill files together may take.
    pub spill_bytes_max: u64,
    /// Partitions a plan is cut into.
    pub target_partitions: usize,
    /// Few rows go to the tail of their table; otherwise every statement writes files.
    pub uses_tails: bool,
    /// Files that tables write aim at this size.
    pub target_file_bytes: u64,
    /// Where tables without a LOCATION go; ends with a slash.
    pub tables_url: Url,
    /// Folders and URLs that `read_*` functions and COPY may name.
    pub file_locations: Vec<String>,
}

/// Consumers named in an out-of-memory error.
const CONSUMERS_NAMED_MAX: usize = 3;
/// What a sort sets aside to merge with, however little memory is free.
const SORT_SPILL_RESERVATION_BYTES: usize = 10 << 20;
/// Parquet footers kept in memory.
const METADATA_CACHE_BYTES_MAX: usize = 256 << 20;

impl Engine {
    /// Sets up the run-time that all statements share.
    pub fn new(config: EngineConfig, buffer: Arc<Buffer>) -> Result<Self> {
        let runtime = runtime(&config, buffer.stores())?;
        let template = Arc::new(template(&config, &runtime)?);
        Ok(Self { runtime, template, buffer, config, rules: Mutex::default(), turns: Arc::default() })
    }

    /// The limits the engine was set up with.
    pub fn config(&self) -> &EngineConfig {
        &self.config
    }

    /// The stores behind tables and files.
    pub fn stores(&self) -> &Arc<Stores> {
        self.buffer.stores()
    }

    /// What publishes versions.
    pub(crate) fn buffer(&self) -> &Arc<Buffer> {
        &self.buffer
    }

    /// The run-time that all statements share.
    pub(in crate::engine) fn runtime(&self) -> &Arc<RuntimeEnv> {
        &self.runtime
    }

    /// The state that each statement's own is cloned from.
    pub(in crate::engine) fn template(&self) -> &Arc<SessionState> {
        &self.template
    }

    /// Bytes that running statements hold.
    pub fn memory_bytes(&self) -> usize {
        self.runtime.memory_pool.reserved()
    }
}

fn runtime(config: &EngineConfig, stores: &Arc<Stores>) -> Result<Arc<RuntimeEnv>> {
    std::fs::create_dir_all(&config.spill_folder).map_err(|error| {
        Error::from(error).within(format!("the spill folder {} cannot be made", config.spill_folder.display()))
    })?;
    let consumers = std::num::NonZeroUsize::new(CONSUMERS_NAMED_MAX).expect("a constant above zero");
    let pool = TrackConsumersPool::new(SharedMemory::new(config.memory_bytes_max), consumers);
    let disk = DiskManagerBuilder::default()
        .with_mode(DiskManagerMode::Directories(vec![config.spill_folder.clone()]))
        .with_max_temp_directory_size(config.spill_bytes_max);
    let built = RuntimeEnvBuilder::new()
        .with_memory_pool(Arc::new(pool))
        .with_object_store_registry(Arc::clone(stores) as _)
        .with_disk_manager_builder(disk)
        // A listing that is kept would not know of files that came since.
        .with_object_list_cache_limit(0)
        .with_metadata_cache_limit(METADATA_CACHE_BYTES_MAX.min(config.memory_bytes_max / 8))
        .build_arc()?;
    Ok(built)
}

fn template(config: &EngineConfig, runtime: &Arc<RuntimeEnv>) -> Result<SessionState> {
    let mut settings = SessionConfig::new()
        .with_target_partitions(config.target_partitions)
        .with_information_schema(false)
        .with_create_default_catalog_and_schema(false);
    let options = settings.options_mut();
    options.sql_parser.dialect = datafusion::common::config::Dialect::PostgreSQL;
    options.sql_parser.parse_float_as_decimal = true;
    options.sql_parser.collect_spans = true;
    options.execution.parquet.schema_force_view_types = true;
    options.execution.parquet.pushdown_filters = false;
    options.execution.sort_spill_reservation_bytes = SORT_SPILL_RESERVATION_BYTES.min(config.memory_bytes_max / 64);
    options.execution.time_zone = Some("UTC".to_owned());
    Ok(SessionStateBuilder::new()
        .with_config(settings)
        .with_runtime_env(Arc::clone(runtime))
        .with_default_features()
        .with_optimizer_rules(shim::optimizer_rules())
        .with_physical_optimizer_rule(Arc::new(YieldingJoins))
        .with_physical_optimizer_rule(Arc::new(CompactSorted))
        .build())
}
