//! The tenant of a statement, as one of its parameters: whoever is under row level security sees that tenant's rows, and
//! nothing without one.
//!
//! The parameter's type is a domain of the schema, `tenant_scope`, whose check sets `warren.tenant` until the transaction ends.
//! Postgres reads the parameters of a statement before it begins with it, so that entering the tenant costs no round trip, and a
//! connection that goes back to its pool has left it. A statement that forgets its scope sees nothing.

use crate::rows::Id;
use sqlx::encode::IsNull;
use sqlx::error::BoxDynError;
use sqlx::postgres::{PgArgumentBuffer, PgTypeInfo};
use sqlx::{Encode, Postgres, Type};
use uuid::Uuid;
use warren_domain::TenantId;

/// A tenant that is entered by the statement that has it as a parameter; in SQL it is its id.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scope(Uuid);

/// The tenant that a statement is about.
pub(crate) trait Enter {
    /// As a parameter.
    fn scope(&self) -> Scope;
}

impl Enter for TenantId {
    fn scope(&self) -> Scope {
        Scope(self.uuid())
    }
}

impl Type<Postgres> for Scope {
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_name("tenant_scope")
    }
}

impl Encode<'_, Postgres> for Scope {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        <Uuid as Encode<'_, Postgres>>::encode_by_ref(&self.0, buffer)
    }
}
