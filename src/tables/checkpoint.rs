//! Checkpoints: the whole state of a table in Parquet, so that nobody replays its log from the start.
//!
//! deltalake reads and writes them. A checkpoint that we have written is read back and compared before anyone may rely on it.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, AsArray};
use arrow::datatypes::Int64Type;
use deltalake::DeltaTable;
use deltalake::kernel::Version;
use deltalake::logstore::LogStoreRef;
use object_store::ObjectStoreExt;
use object_store::path::Path;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use crate::error::{Error, ErrorKind, Result};
use crate::tables::action::{Add, Commit, Metadata, ProtocolAction};
use crate::tables::definition::Definition;
use crate::tables::file_set::{DeletionVector, FileSet};
use crate::tables::protocol::Protocol;
use crate::tables::replay;
use crate::tables::snapshot::{Place, Snapshot};

/// The table at `version`, of which there is a checkpoint in `files`.
pub(in crate::tables) async fn load(
    log: &LogStoreRef,
    place: &Arc<Place>,
    version: i64,
    files: &[Path],
) -> Result<Snapshot> {
    let mut table = DeltaTable::new(Arc::clone(log));
    let wanted = Version::try_from(version).map_err(|_| Error::internal("a version is negative"))?;
    table.load_version(wanted).await?;
    let state = table.snapshot()?;
    let protocol: ProtocolAction = convert(state.protocol())?;
    let metadata: Metadata = convert(state.metadata())?;
    let definition = Arc::new(Definition::new(Protocol::of_action(&protocol), metadata)?);
    let entries = state
        .log_data()
        .iter()
        .map(|view| replay::entry(&add_of(&view)?, &definition).map(Arc::new))
        .collect::<Result<Vec<_>>>()?;
    Ok(Snapshot {
        version,
        committed_at_ms: committed_at(place, version, state.version_timestamp(wanted)).await?,
        place: Arc::clone(place),
        definition,
        files: FileSet::new(entries),
        app_versions: Arc::new(read_apps(place, files).await?),
    })
}

/// What the commit says; where it has been cleaned up, when the log was written.
async fn committed_at(place: &Place, version: i64, log_says: Option<i64>) -> Result<i64> {
    match place.store.get(&place.commit_path(version)).await {
        Ok(found) => {
            Ok(Commit::parse(version, &found.bytes().await?)?.committed_at_ms().or(log_says).unwrap_or_default())
        }
        Err(object_store::Error::NotFound { .. }) => Ok(log_says.unwrap_or_default()),
        Err(error) => Err(error.into()),
    }
}

fn convert<T: serde::de::DeserializeOwned>(value: &impl serde::Serialize) -> Result<T> {
    let damaged = |error: serde_json::Error| {
        Error::new(ErrorKind::DataCorrupted, "a checkpoint of the table is damaged").detail(error.to_string())
    };
    serde_json::to_value(value).and_then(serde_json::from_value).map_err(damaged)
}

fn add_of(view: &deltalake::kernel::LogicalFileView) -> Result<Add> {
    #[expect(deprecated, reason = "the only public way to the tags of an add action")]
    let add = view.add_action();
    Ok(Add {
        path: add.path,
        partition_values: add.partition_values.into_iter().collect(),
        size: add.size,
        modification_time: add.modification_time,
        data_change: false,
        stats: add.stats,
        tags: add.tags.map(|tags| tags.into_iter().collect()),
        deletion_vector: add.deletion_vector.map(|vector| convert::<DeletionVector>(&vector)).transpose()?,
    })
}

/// The `txn` actions in a checkpoint's own files.
async fn read_apps(place: &Place, files: &[Path]) -> Result<BTreeMap<String, i64>> {
    let mut apps = BTreeMap::new();
    for file in files {
        let bytes = place.store.get(file).await?.bytes().await?;
        match file.extension() {
            Some("json") => {
                let commit = Commit::parse(0, &bytes)?;
                apps.extend(commit.txns.into_iter().map(|txn| (txn.app_id, txn.version)));
            }
            _ => read_parquet_apps(bytes, &mut apps).map_err(|error| {
                Error::new(ErrorKind::DataCorrupted, format!("checkpoint \"{file}\" is damaged"))
                    .detail(error.to_string())
            })?,
        }
    }
    Ok(apps)
}

fn read_parquet_apps(bytes: bytes::Bytes, apps: &mut BTreeMap<String, i64>) -> parquet::errors::Result<()> {
    let builder = ParquetRecordBatchReaderBuilder::try_new(bytes)?;
    let mask = ProjectionMask::columns(builder.parquet_schema(), ["txn.appId", "txn.version"]);
    for batch in builder.with_projection(mask).build()? {
        let batch = batch?;
        let Some(txn) = batch.column_by_name("txn").and_then(|column| column.as_struct_opt()) else { return Ok(()) };
        let (Some(ids), Some(versions)) = (txn.column_by_name("appId"), txn.column_by_name("version")) else {
            return Ok(());
        };
        let ids = arrow::compute::cast(ids, &arrow::datatypes::DataType::Utf8)?;
        let (ids, versions) = (ids.as_string::<i32>(), versions.as_primitive::<Int64Type>());
        for row in (0..txn.len()).filter(|row| txn.is_valid(*row) && ids.is_valid(*row)) {
            apps.insert(ids.value(row).to_owned(), versions.value(row));
        }
    }
    Ok(())
}

/// Writes the checkpoint of `snapshot` and reads it back.
pub(in crate::tables) async fn write(log: &LogStoreRef, snapshot: &Snapshot) -> Result<()> {
    let mut table = DeltaTable::new(Arc::clone(log));
    let version = Version::try_from(snapshot.version).map_err(|_| Error::internal("a version is negative"))?;
    table.load_version(version).await?;
    // deltalake writes the file with blocking calls.
    let runtime = tokio::runtime::Handle::current();
    tokio::task::spawn_blocking(move || runtime.block_on(deltalake::checkpoints::create_checkpoint(&table, None)))
        .await
        .map_err(|error| Error::internal(format!("the checkpoint did not finish: {error}")))??;
    verify(log, snapshot).await
}

async fn verify(log: &LogStoreRef, snapshot: &Snapshot) -> Result<()> {
    let place = &snapshot.place;
    let file = place.log_folder().join(format!("{:020}.checkpoint.parquet", snapshot.version));
    let read = load(log, place, snapshot.version, std::slice::from_ref(&file)).await?;
    if same_content(&read, snapshot) {
        return Ok(());
    }
    place.store.delete(&file).await?;
    place.store.delete(&place.log_folder().join("_last_checkpoint")).await?;
    let message = format!("the checkpoint of version {} does not hold what the log says", snapshot.version);
    Err(Error::new(ErrorKind::DataCorrupted, message).detail("It has been deleted; the table is as it was."))
}

/// True where both name the same files and applications.
pub(in crate::tables) fn same_content(one: &Snapshot, other: &Snapshot) -> bool {
    one.files.len() == other.files.len()
        && one.app_versions == other.app_versions
        && one.files.iter().zip(other.files.iter()).all(|(left, right)| {
            left.path == right.path && left.rows == right.rows && left.deletion_vector == right.deletion_vector
        })
}
