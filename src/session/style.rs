//! How a session's values look: its time zone, and names for the numbers of objects.

use std::sync::Arc;

use crate::catalog::pg_type::PgType;
use crate::engine::functions::reg_name;
use crate::session::Session;
use crate::session::cells::{RegName, Style};
use crate::session::reply::Column;
use crate::session::text::zone::Zone;

impl Session {
    /// How values of these columns look now.
    pub(crate) fn style(&self, columns: &[Column]) -> Style {
        let zone = Zone::from(self.settings.lock().time_zone());
        // Names are looked up in the catalog as it is now; most results have none.
        let reg_name = columns.iter().any(|column| is_reg(&column.pg_type)).then(|| {
            let buffer = self.server.buffer();
            let version = self.transaction.lock().version(|| buffer.current());
            let context = self.function_context(&version);
            Arc::new(move |kind, oid| reg_name(oid, kind, &context)) as Arc<RegName>
        });
        Style { zone, reg_name }
    }
}

fn is_reg(pg_type: &PgType) -> bool {
    match pg_type {
        PgType::Reg(_) => true,
        PgType::Array(element) => is_reg(element),
        _ => false,
    }
}
