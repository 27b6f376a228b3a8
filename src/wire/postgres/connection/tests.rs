use super::alive;
use crate::wire::postgres::Fault;

#[tokio::test]
async fn a_panic_is_a_fatal_error() {
    let broken = alive::<()>(async {
        let numbers: Vec<u8> = Vec::new();
        assert_eq!(numbers[std::hint::black_box(3)], 0);
        Ok(())
    });
    match broken.await {
        Err(Fault::Fatal(error)) => {
            assert_eq!(error.kind().sqlstate(), "XX000");
            assert!(error.to_string().contains("index out of bounds"), "{error}");
        }
        other => unreachable!("{other:?}"),
    }
}

#[tokio::test]
async fn other_results_pass() {
    assert!(matches!(alive(async { Ok(7) }).await, Ok(7)));
}
