#![doc = include_str!("../README.md")]

mod arrow;
mod builder;
pub mod builtins;
mod call;
mod calls;
mod context;
mod error;
mod failure;
mod future;
mod library;
mod options;
mod part;
mod queue;
mod result;
mod udf;
mod vertex;
mod vertex_id;
mod worker;

pub use builder::{Builder, ColumnMut, NotCommitted};
pub use call::{Call, Callable, IntoTargets};
pub use calls::Calls;
pub use context::{Context, Level, MergeContext, Spawn};
pub use error::{Details, Effects, Error, Result, Status};
pub use failure::Failure;
pub use future::CallFuture;
pub use library::version;
pub use options::{Options, Put};
pub use part::{FromPart, IntoPart, IntoValue, Part, Scalar};
pub use result::{Answer, FromResult, Parts, ServedHow};
pub use udf::{Function, Udf};
pub use vertex::{Identified, Vertex, VertexInfo};
pub use vertex_id::VertexId;
pub use worker::Worker;
