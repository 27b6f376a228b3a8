//! Bitmaps of every kind, whole and damaged.

use std::path::Path as FilePath;
use std::sync::Arc;

use delta_kernel::actions::deletion_vector_writer::{KernelDeletionVector, StreamingDeletionVectorWriter};
use object_store::local::LocalFileSystem;
use parquet::arrow::arrow_reader::RowSelector;
use url::Url;
use uuid::Uuid;

use super::*;

/// Where a bitmap is put.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    Inline,
    Relative,
    Absolute,
}

/// Has the Delta kernel write a bitmap and gives its descriptor. In a file it stands between two others.
pub fn write_vector(table: &FilePath, kind: Kind, rows: impl Iterator<Item = u64>) -> DeletionVector {
    let mut deleted = KernelDeletionVector::new();
    deleted.add_deleted_row_indexes(rows);
    let mut file = Vec::new();
    let mut writer = StreamingDeletionVectorWriter::new(&mut file);
    writer.write_deletion_vector(KernelDeletionVector::new()).unwrap();
    let written = writer.write_deletion_vector(deleted).unwrap();
    writer.write_deletion_vector(KernelDeletionVector::new()).unwrap();
    writer.finalize().unwrap();
    let (storage_type, path, offset) = match kind {
        Kind::Inline => {
            // Behind the length, before the checksum.
            let start = usize::try_from(written.offset).unwrap() + 4;
            let mut bitmap = file[start..start + usize::try_from(written.size_in_bytes).unwrap()].to_vec();
            bitmap.resize(bitmap.len().div_ceil(4) * 4, 0);
            ("i", z85::encode(&bitmap), None)
        }
        Kind::Relative | Kind::Absolute => {
            let uuid = Uuid::new_v4();
            let folder = if matches!(kind, Kind::Relative) { "a b" } else { "" };
            let name = table.join(folder).join(format!("deletion_vector_{uuid}.bin"));
            std::fs::create_dir_all(name.parent().unwrap()).unwrap();
            std::fs::write(&name, file).unwrap();
            match kind {
                Kind::Relative => ("u", format!("{folder}{}", z85::encode(uuid.as_bytes())), Some(written.offset)),
                _ => ("p", Url::from_file_path(&name).unwrap().to_string(), Some(written.offset)),
            }
        }
    };
    DeletionVector {
        storage_type: storage_type.to_owned(),
        path_or_inline_dv: path,
        offset,
        size_in_bytes: written.size_in_bytes,
        cardinality: written.cardinality,
    }
}

fn file(rows: u64, vector: DeletionVector) -> FileEntry {
    FileEntry {
        path: "part 1.parquet".to_owned(),
        size_bytes: 1,
        modified_at_ms: 0,
        partition: Vec::new(),
        rows: Some(rows),
        stats: Default::default(),
        tags: Default::default(),
        deletion_vector: Some(vector),
    }
}

async fn selected(table: &FilePath, file: &FileEntry) -> Result<Vec<RowSelector>> {
    let store = Arc::new(LocalFileSystem::new());
    let location = Url::from_directory_path(table).unwrap();
    live_rows(store.as_ref(), &location, file).await.map(|found| found.unwrap().into())
}

#[tokio::test]
async fn all_kinds_are_read() {
    let table = tempfile::tempdir().unwrap();
    for kind in [Kind::Inline, Kind::Relative, Kind::Absolute] {
        let vector = write_vector(table.path(), kind, [0, 1, 5, 6, 7, 9].into_iter());
        let expected = [(2, true), (3, false), (3, true), (1, false), (1, true)]
            .map(|(rows, skip)| RowSelector { row_count: rows, skip });
        assert_eq!(selected(table.path(), &file(10, vector.clone())).await.unwrap(), expected, "{kind:?}");
        let beyond = selected(table.path(), &file(9, vector)).await.unwrap_err();
        assert!(beyond.message().contains("beyond"), "{beyond}");
    }
}

#[tokio::test]
async fn damage_is_told() {
    let table = tempfile::tempdir().unwrap();
    let good = write_vector(table.path(), Kind::Relative, [3, 4].into_iter());
    let error = async |vector: DeletionVector| selected(table.path(), &file(10, vector)).await.unwrap_err();
    let mut wrong = good.clone();
    wrong.cardinality = 3;
    assert!(error(wrong).await.message().contains("the log says 3"));
    let mut wrong = good.clone();
    wrong.size_in_bytes += 1;
    assert_eq!(error(wrong).await.kind(), ErrorKind::DataCorrupted);
    let mut wrong = good.clone();
    wrong.path_or_inline_dv = "ü".to_owned();
    assert!(error(wrong).await.message().contains("UUID"));
    let mut wrong = good.clone();
    wrong.storage_type = "z".to_owned();
    assert_eq!(error(wrong).await.kind(), ErrorKind::FeatureNotSupported);
    let mut wrong = good;
    wrong.storage_type = "p".to_owned();
    wrong.path_or_inline_dv = "s3://elsewhere/x.bin".to_owned();
    let told = error(wrong).await;
    assert!(told.message().contains("part 1.parquet") && told.message().contains("another store"), "{told}");
}

#[test]
fn the_standards_example_of_base_85() {
    assert_eq!(z85::decode("HelloWorld").unwrap(), [0x86, 0x4F, 0xD2, 0x6F, 0xB5, 0x59, 0xF7, 0x5B]);
    assert_eq!(z85::decode("Hell"), None);
    assert_eq!(z85::decode("%%%%%\u{7f}"), None);
}
