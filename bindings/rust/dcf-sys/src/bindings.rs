// Made of dcf.h by `make generate`: do not edit.

pub const DCF_ABI_MAJOR: u32 = 0;
pub const DCF_ABI_MINOR: u32 = 1;
pub const DCF_ABI_VERSION: u32 = 1;
pub const ARROW_FLAG_DICTIONARY_ORDERED: u32 = 1;
pub const ARROW_FLAG_NULLABLE: u32 = 2;
pub const ARROW_FLAG_MAP_KEYS_SORTED: u32 = 4;
pub const DCF_OK: u32 = 0;
pub const DCF_INTERNAL: u32 = 1;
pub const DCF_INVALID_ARGUMENT: u32 = 2;
pub const DCF_BAD_HANDLE: u32 = 3;
pub const DCF_NOT_FOUND: u32 = 4;
pub const DCF_ALREADY_EXISTS: u32 = 5;
pub const DCF_UNAVAILABLE: u32 = 6;
pub const DCF_TIMEOUT: u32 = 7;
pub const DCF_CANCELLED: u32 = 8;
pub const DCF_EXHAUSTED: u32 = 9;
pub const DCF_UDF_FAILED: u32 = 10;
pub const DCF_UNSUPPORTED: u32 = 11;
pub const DCF_DENIED: u32 = 12;
pub const DCF_ABORTED: u32 = 13;
pub const DCF_CORRUPT: u32 = 14;
pub const DCF_INTERRUPTED: u32 = 15;
pub const DCF_VERTEX_LOCAL: u32 = 0;
pub const DCF_VERTEX_REMOTE: u32 = 1;
pub const DCF_PUT_REPLACE: u32 = 1;
pub const DCF_SPAWN_ONCE: u32 = 1;
pub const DCF_UDF_NATIVE: u32 = 0;
pub const DCF_UDF_BUILTIN: u32 = 4;
pub const DCF_UDF_UPDATES: u32 = 1;
pub const DCF_UDF_COMMUTATIVE: u32 = 2;
pub const DCF_UDF_SHORT: u32 = 4;
pub const DCF_UDF_CALLER_THREAD: u32 = 8;
pub const DCF_CALL_AT_OWNER: u32 = 1;
pub const DCF_CALL_HERE: u32 = 2;
pub const DCF_CALL_TIMED: u32 = 4;
pub const DCF_CALL_INLINE: u32 = 8;
pub const DCF_RESULT_NONE: u32 = 0;
pub const DCF_RESULT_BYTES: u32 = 1;
pub const DCF_RESULT_ARRAY: u32 = 2;
pub const DCF_RESULT_PARTS: u32 = 3;
pub const DCF_EFFECTS_NONE: u32 = 0;
pub const DCF_EFFECTS_COMPLETE: u32 = 1;
pub const DCF_EFFECTS_UNKNOWN: u32 = 2;
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct ArrowSchema {
    pub format: *const ::core::ffi::c_char,
    pub name: *const ::core::ffi::c_char,
    pub metadata: *const ::core::ffi::c_char,
    pub flags: i64,
    pub n_children: i64,
    pub children: *mut *mut ArrowSchema,
    pub dictionary: *mut ArrowSchema,
    pub release: ::core::option::Option<unsafe extern "C" fn(arg1: *mut ArrowSchema)>,
    pub private_data: *mut ::core::ffi::c_void,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of ArrowSchema"][::core::mem::size_of::<ArrowSchema>() - 72usize];
    ["Alignment of ArrowSchema"][::core::mem::align_of::<ArrowSchema>() - 8usize];
    ["Offset of field: ArrowSchema::format"][::core::mem::offset_of!(ArrowSchema, format) - 0usize];
    ["Offset of field: ArrowSchema::name"][::core::mem::offset_of!(ArrowSchema, name) - 8usize];
    ["Offset of field: ArrowSchema::metadata"]
        [::core::mem::offset_of!(ArrowSchema, metadata) - 16usize];
    ["Offset of field: ArrowSchema::flags"][::core::mem::offset_of!(ArrowSchema, flags) - 24usize];
    ["Offset of field: ArrowSchema::n_children"]
        [::core::mem::offset_of!(ArrowSchema, n_children) - 32usize];
    ["Offset of field: ArrowSchema::children"]
        [::core::mem::offset_of!(ArrowSchema, children) - 40usize];
    ["Offset of field: ArrowSchema::dictionary"]
        [::core::mem::offset_of!(ArrowSchema, dictionary) - 48usize];
    ["Offset of field: ArrowSchema::release"]
        [::core::mem::offset_of!(ArrowSchema, release) - 56usize];
    ["Offset of field: ArrowSchema::private_data"]
        [::core::mem::offset_of!(ArrowSchema, private_data) - 64usize];
};
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct ArrowArray {
    pub length: i64,
    pub null_count: i64,
    pub offset: i64,
    pub n_buffers: i64,
    pub n_children: i64,
    pub buffers: *mut *const ::core::ffi::c_void,
    pub children: *mut *mut ArrowArray,
    pub dictionary: *mut ArrowArray,
    pub release: ::core::option::Option<unsafe extern "C" fn(arg1: *mut ArrowArray)>,
    pub private_data: *mut ::core::ffi::c_void,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of ArrowArray"][::core::mem::size_of::<ArrowArray>() - 80usize];
    ["Alignment of ArrowArray"][::core::mem::align_of::<ArrowArray>() - 8usize];
    ["Offset of field: ArrowArray::length"][::core::mem::offset_of!(ArrowArray, length) - 0usize];
    ["Offset of field: ArrowArray::null_count"]
        [::core::mem::offset_of!(ArrowArray, null_count) - 8usize];
    ["Offset of field: ArrowArray::offset"][::core::mem::offset_of!(ArrowArray, offset) - 16usize];
    ["Offset of field: ArrowArray::n_buffers"]
        [::core::mem::offset_of!(ArrowArray, n_buffers) - 24usize];
    ["Offset of field: ArrowArray::n_children"]
        [::core::mem::offset_of!(ArrowArray, n_children) - 32usize];
    ["Offset of field: ArrowArray::buffers"]
        [::core::mem::offset_of!(ArrowArray, buffers) - 40usize];
    ["Offset of field: ArrowArray::children"]
        [::core::mem::offset_of!(ArrowArray, children) - 48usize];
    ["Offset of field: ArrowArray::dictionary"]
        [::core::mem::offset_of!(ArrowArray, dictionary) - 56usize];
    ["Offset of field: ArrowArray::release"]
        [::core::mem::offset_of!(ArrowArray, release) - 64usize];
    ["Offset of field: ArrowArray::private_data"]
        [::core::mem::offset_of!(ArrowArray, private_data) - 72usize];
};
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct ArrowArrayStream {
    pub get_schema: ::core::option::Option<
        unsafe extern "C" fn(
            arg1: *mut ArrowArrayStream,
            out: *mut ArrowSchema,
        ) -> ::core::ffi::c_int,
    >,
    pub get_next: ::core::option::Option<
        unsafe extern "C" fn(
            arg1: *mut ArrowArrayStream,
            out: *mut ArrowArray,
        ) -> ::core::ffi::c_int,
    >,
    pub get_last_error: ::core::option::Option<
        unsafe extern "C" fn(arg1: *mut ArrowArrayStream) -> *const ::core::ffi::c_char,
    >,
    pub release: ::core::option::Option<unsafe extern "C" fn(arg1: *mut ArrowArrayStream)>,
    pub private_data: *mut ::core::ffi::c_void,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of ArrowArrayStream"][::core::mem::size_of::<ArrowArrayStream>() - 40usize];
    ["Alignment of ArrowArrayStream"][::core::mem::align_of::<ArrowArrayStream>() - 8usize];
    ["Offset of field: ArrowArrayStream::get_schema"]
        [::core::mem::offset_of!(ArrowArrayStream, get_schema) - 0usize];
    ["Offset of field: ArrowArrayStream::get_next"]
        [::core::mem::offset_of!(ArrowArrayStream, get_next) - 8usize];
    ["Offset of field: ArrowArrayStream::get_last_error"]
        [::core::mem::offset_of!(ArrowArrayStream, get_last_error) - 16usize];
    ["Offset of field: ArrowArrayStream::release"]
        [::core::mem::offset_of!(ArrowArrayStream, release) - 24usize];
    ["Offset of field: ArrowArrayStream::private_data"]
        [::core::mem::offset_of!(ArrowArrayStream, private_data) - 32usize];
};
pub type dcf_status = i32;
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct dcf_bytes {
    pub data: *const ::core::ffi::c_void,
    pub size: usize,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of dcf_bytes"][::core::mem::size_of::<dcf_bytes>() - 16usize];
    ["Alignment of dcf_bytes"][::core::mem::align_of::<dcf_bytes>() - 8usize];
    ["Offset of field: dcf_bytes::data"][::core::mem::offset_of!(dcf_bytes, data) - 0usize];
    ["Offset of field: dcf_bytes::size"][::core::mem::offset_of!(dcf_bytes, size) - 8usize];
};
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct dcf_worker {
    pub handle: u64,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of dcf_worker"][::core::mem::size_of::<dcf_worker>() - 8usize];
    ["Alignment of dcf_worker"][::core::mem::align_of::<dcf_worker>() - 8usize];
    ["Offset of field: dcf_worker::handle"][::core::mem::offset_of!(dcf_worker, handle) - 0usize];
};
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct dcf_vertex {
    pub handle: u64,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of dcf_vertex"][::core::mem::size_of::<dcf_vertex>() - 8usize];
    ["Alignment of dcf_vertex"][::core::mem::align_of::<dcf_vertex>() - 8usize];
    ["Offset of field: dcf_vertex::handle"][::core::mem::offset_of!(dcf_vertex, handle) - 0usize];
};
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct dcf_udf {
    pub handle: u64,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of dcf_udf"][::core::mem::size_of::<dcf_udf>() - 8usize];
    ["Alignment of dcf_udf"][::core::mem::align_of::<dcf_udf>() - 8usize];
    ["Offset of field: dcf_udf::handle"][::core::mem::offset_of!(dcf_udf, handle) - 0usize];
};
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct dcf_queue {
    pub handle: u64,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of dcf_queue"][::core::mem::size_of::<dcf_queue>() - 8usize];
    ["Alignment of dcf_queue"][::core::mem::align_of::<dcf_queue>() - 8usize];
    ["Offset of field: dcf_queue::handle"][::core::mem::offset_of!(dcf_queue, handle) - 0usize];
};
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct dcf_builder {
    pub handle: u64,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of dcf_builder"][::core::mem::size_of::<dcf_builder>() - 8usize];
    ["Alignment of dcf_builder"][::core::mem::align_of::<dcf_builder>() - 8usize];
    ["Offset of field: dcf_builder::handle"][::core::mem::offset_of!(dcf_builder, handle) - 0usize];
};
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct dcf_vertex_id {
    pub bytes: [u8; 16usize],
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of dcf_vertex_id"][::core::mem::size_of::<dcf_vertex_id>() - 16usize];
    ["Alignment of dcf_vertex_id"][::core::mem::align_of::<dcf_vertex_id>() - 1usize];
    ["Offset of field: dcf_vertex_id::bytes"]
        [::core::mem::offset_of!(dcf_vertex_id, bytes) - 0usize];
};
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct dcf_error {
    pub status: dcf_status,
    pub os_error: i32,
    pub node: u64,
    pub vertex: dcf_vertex_id,
    pub message: [::core::ffi::c_char; 480usize],
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of dcf_error"][::core::mem::size_of::<dcf_error>() - 512usize];
    ["Alignment of dcf_error"][::core::mem::align_of::<dcf_error>() - 8usize];
    ["Offset of field: dcf_error::status"][::core::mem::offset_of!(dcf_error, status) - 0usize];
    ["Offset of field: dcf_error::os_error"][::core::mem::offset_of!(dcf_error, os_error) - 4usize];
    ["Offset of field: dcf_error::node"][::core::mem::offset_of!(dcf_error, node) - 8usize];
    ["Offset of field: dcf_error::vertex"][::core::mem::offset_of!(dcf_error, vertex) - 16usize];
    ["Offset of field: dcf_error::message"][::core::mem::offset_of!(dcf_error, message) - 32usize];
};
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct dcf_worker_options {
    pub struct_size: u32,
    pub flags: u32,
    pub listen: dcf_bytes,
    pub join: dcf_bytes,
    pub node_id: u64,
    pub memory_limit: u64,
    pub timeout_ns: i64,
    pub spin_ns: i64,
    pub config: dcf_bytes,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of dcf_worker_options"][::core::mem::size_of::<dcf_worker_options>() - 88usize];
    ["Alignment of dcf_worker_options"][::core::mem::align_of::<dcf_worker_options>() - 8usize];
    ["Offset of field: dcf_worker_options::struct_size"]
        [::core::mem::offset_of!(dcf_worker_options, struct_size) - 0usize];
    ["Offset of field: dcf_worker_options::flags"]
        [::core::mem::offset_of!(dcf_worker_options, flags) - 4usize];
    ["Offset of field: dcf_worker_options::listen"]
        [::core::mem::offset_of!(dcf_worker_options, listen) - 8usize];
    ["Offset of field: dcf_worker_options::join"]
        [::core::mem::offset_of!(dcf_worker_options, join) - 24usize];
    ["Offset of field: dcf_worker_options::node_id"]
        [::core::mem::offset_of!(dcf_worker_options, node_id) - 40usize];
    ["Offset of field: dcf_worker_options::memory_limit"]
        [::core::mem::offset_of!(dcf_worker_options, memory_limit) - 48usize];
    ["Offset of field: dcf_worker_options::timeout_ns"]
        [::core::mem::offset_of!(dcf_worker_options, timeout_ns) - 56usize];
    ["Offset of field: dcf_worker_options::spin_ns"]
        [::core::mem::offset_of!(dcf_worker_options, spin_ns) - 64usize];
    ["Offset of field: dcf_worker_options::config"]
        [::core::mem::offset_of!(dcf_worker_options, config) - 72usize];
};
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct dcf_vertex_info {
    pub struct_size: u32,
    pub kind: u32,
    pub id: dcf_vertex_id,
    pub owner_node: u64,
    pub version: u64,
    pub rows: i64,
    pub bytes: i64,
    pub child_count: u64,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of dcf_vertex_info"][::core::mem::size_of::<dcf_vertex_info>() - 64usize];
    ["Alignment of dcf_vertex_info"][::core::mem::align_of::<dcf_vertex_info>() - 8usize];
    ["Offset of field: dcf_vertex_info::struct_size"]
        [::core::mem::offset_of!(dcf_vertex_info, struct_size) - 0usize];
    ["Offset of field: dcf_vertex_info::kind"]
        [::core::mem::offset_of!(dcf_vertex_info, kind) - 4usize];
    ["Offset of field: dcf_vertex_info::id"][::core::mem::offset_of!(dcf_vertex_info, id) - 8usize];
    ["Offset of field: dcf_vertex_info::owner_node"]
        [::core::mem::offset_of!(dcf_vertex_info, owner_node) - 24usize];
    ["Offset of field: dcf_vertex_info::version"]
        [::core::mem::offset_of!(dcf_vertex_info, version) - 32usize];
    ["Offset of field: dcf_vertex_info::rows"]
        [::core::mem::offset_of!(dcf_vertex_info, rows) - 40usize];
    ["Offset of field: dcf_vertex_info::bytes"]
        [::core::mem::offset_of!(dcf_vertex_info, bytes) - 48usize];
    ["Offset of field: dcf_vertex_info::child_count"]
        [::core::mem::offset_of!(dcf_vertex_info, child_count) - 56usize];
};
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct dcf_put_options {
    pub struct_size: u32,
    pub flags: u32,
    pub name: dcf_bytes,
    pub node: u64,
    pub shard_by: dcf_bytes,
    pub shard_count: u32,
    pub reserved: u32,
    pub timeout_ns: i64,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of dcf_put_options"][::core::mem::size_of::<dcf_put_options>() - 64usize];
    ["Alignment of dcf_put_options"][::core::mem::align_of::<dcf_put_options>() - 8usize];
    ["Offset of field: dcf_put_options::struct_size"]
        [::core::mem::offset_of!(dcf_put_options, struct_size) - 0usize];
    ["Offset of field: dcf_put_options::flags"]
        [::core::mem::offset_of!(dcf_put_options, flags) - 4usize];
    ["Offset of field: dcf_put_options::name"]
        [::core::mem::offset_of!(dcf_put_options, name) - 8usize];
    ["Offset of field: dcf_put_options::node"]
        [::core::mem::offset_of!(dcf_put_options, node) - 24usize];
    ["Offset of field: dcf_put_options::shard_by"]
        [::core::mem::offset_of!(dcf_put_options, shard_by) - 32usize];
    ["Offset of field: dcf_put_options::shard_count"]
        [::core::mem::offset_of!(dcf_put_options, shard_count) - 48usize];
    ["Offset of field: dcf_put_options::reserved"]
        [::core::mem::offset_of!(dcf_put_options, reserved) - 52usize];
    ["Offset of field: dcf_put_options::timeout_ns"]
        [::core::mem::offset_of!(dcf_put_options, timeout_ns) - 56usize];
};
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct dcf_column {
    pub struct_size: u32,
    pub reserved: u32,
    pub length: i64,
    pub validity: *mut ::core::ffi::c_void,
    pub offsets: *mut ::core::ffi::c_void,
    pub values: *mut ::core::ffi::c_void,
    pub values_bytes: usize,
    pub children: i64,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of dcf_column"][::core::mem::size_of::<dcf_column>() - 56usize];
    ["Alignment of dcf_column"][::core::mem::align_of::<dcf_column>() - 8usize];
    ["Offset of field: dcf_column::struct_size"]
        [::core::mem::offset_of!(dcf_column, struct_size) - 0usize];
    ["Offset of field: dcf_column::reserved"]
        [::core::mem::offset_of!(dcf_column, reserved) - 4usize];
    ["Offset of field: dcf_column::length"][::core::mem::offset_of!(dcf_column, length) - 8usize];
    ["Offset of field: dcf_column::validity"]
        [::core::mem::offset_of!(dcf_column, validity) - 16usize];
    ["Offset of field: dcf_column::offsets"]
        [::core::mem::offset_of!(dcf_column, offsets) - 24usize];
    ["Offset of field: dcf_column::values"][::core::mem::offset_of!(dcf_column, values) - 32usize];
    ["Offset of field: dcf_column::values_bytes"]
        [::core::mem::offset_of!(dcf_column, values_bytes) - 40usize];
    ["Offset of field: dcf_column::children"]
        [::core::mem::offset_of!(dcf_column, children) - 48usize];
};
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct dcf_udf_input {
    pub struct_size: u32,
    pub vertex_kind: u32,
    pub vertex: dcf_vertex_id,
    pub version: u64,
    pub schema: *const ArrowSchema,
    pub array: *const ArrowArray,
    pub children: *const dcf_vertex_id,
    pub child_count: usize,
    pub parents: *const dcf_vertex_id,
    pub parent_count: usize,
    pub arguments: dcf_bytes,
    pub arguments_schema: *const ArrowSchema,
    pub arguments_array: *const ArrowArray,
    pub auxiliary: dcf_bytes,
    pub deadline_ns: i64,
    pub cancelled: *const u32,
    pub private_data: [u64; 2usize],
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of dcf_udf_input"][::core::mem::size_of::<dcf_udf_input>() - 160usize];
    ["Alignment of dcf_udf_input"][::core::mem::align_of::<dcf_udf_input>() - 8usize];
    ["Offset of field: dcf_udf_input::struct_size"]
        [::core::mem::offset_of!(dcf_udf_input, struct_size) - 0usize];
    ["Offset of field: dcf_udf_input::vertex_kind"]
        [::core::mem::offset_of!(dcf_udf_input, vertex_kind) - 4usize];
    ["Offset of field: dcf_udf_input::vertex"]
        [::core::mem::offset_of!(dcf_udf_input, vertex) - 8usize];
    ["Offset of field: dcf_udf_input::version"]
        [::core::mem::offset_of!(dcf_udf_input, version) - 24usize];
    ["Offset of field: dcf_udf_input::schema"]
        [::core::mem::offset_of!(dcf_udf_input, schema) - 32usize];
    ["Offset of field: dcf_udf_input::array"]
        [::core::mem::offset_of!(dcf_udf_input, array) - 40usize];
    ["Offset of field: dcf_udf_input::children"]
        [::core::mem::offset_of!(dcf_udf_input, children) - 48usize];
    ["Offset of field: dcf_udf_input::child_count"]
        [::core::mem::offset_of!(dcf_udf_input, child_count) - 56usize];
    ["Offset of field: dcf_udf_input::parents"]
        [::core::mem::offset_of!(dcf_udf_input, parents) - 64usize];
    ["Offset of field: dcf_udf_input::parent_count"]
        [::core::mem::offset_of!(dcf_udf_input, parent_count) - 72usize];
    ["Offset of field: dcf_udf_input::arguments"]
        [::core::mem::offset_of!(dcf_udf_input, arguments) - 80usize];
    ["Offset of field: dcf_udf_input::arguments_schema"]
        [::core::mem::offset_of!(dcf_udf_input, arguments_schema) - 96usize];
    ["Offset of field: dcf_udf_input::arguments_array"]
        [::core::mem::offset_of!(dcf_udf_input, arguments_array) - 104usize];
    ["Offset of field: dcf_udf_input::auxiliary"]
        [::core::mem::offset_of!(dcf_udf_input, auxiliary) - 112usize];
    ["Offset of field: dcf_udf_input::deadline_ns"]
        [::core::mem::offset_of!(dcf_udf_input, deadline_ns) - 128usize];
    ["Offset of field: dcf_udf_input::cancelled"]
        [::core::mem::offset_of!(dcf_udf_input, cancelled) - 136usize];
    ["Offset of field: dcf_udf_input::private_data"]
        [::core::mem::offset_of!(dcf_udf_input, private_data) - 144usize];
};
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct dcf_part {
    pub bytes: dcf_bytes,
    pub schema: *const ArrowSchema,
    pub array: *const ArrowArray,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of dcf_part"][::core::mem::size_of::<dcf_part>() - 32usize];
    ["Alignment of dcf_part"][::core::mem::align_of::<dcf_part>() - 8usize];
    ["Offset of field: dcf_part::bytes"][::core::mem::offset_of!(dcf_part, bytes) - 0usize];
    ["Offset of field: dcf_part::schema"][::core::mem::offset_of!(dcf_part, schema) - 16usize];
    ["Offset of field: dcf_part::array"][::core::mem::offset_of!(dcf_part, array) - 24usize];
};
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct dcf_merge_input {
    pub struct_size: u32,
    pub part_size: u32,
    pub parts: *const dcf_part,
    pub part_count: usize,
    pub arguments: dcf_bytes,
    pub auxiliary: dcf_bytes,
    pub private_data: [u64; 2usize],
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of dcf_merge_input"][::core::mem::size_of::<dcf_merge_input>() - 72usize];
    ["Alignment of dcf_merge_input"][::core::mem::align_of::<dcf_merge_input>() - 8usize];
    ["Offset of field: dcf_merge_input::struct_size"]
        [::core::mem::offset_of!(dcf_merge_input, struct_size) - 0usize];
    ["Offset of field: dcf_merge_input::part_size"]
        [::core::mem::offset_of!(dcf_merge_input, part_size) - 4usize];
    ["Offset of field: dcf_merge_input::parts"]
        [::core::mem::offset_of!(dcf_merge_input, parts) - 8usize];
    ["Offset of field: dcf_merge_input::part_count"]
        [::core::mem::offset_of!(dcf_merge_input, part_count) - 16usize];
    ["Offset of field: dcf_merge_input::arguments"]
        [::core::mem::offset_of!(dcf_merge_input, arguments) - 24usize];
    ["Offset of field: dcf_merge_input::auxiliary"]
        [::core::mem::offset_of!(dcf_merge_input, auxiliary) - 40usize];
    ["Offset of field: dcf_merge_input::private_data"]
        [::core::mem::offset_of!(dcf_merge_input, private_data) - 56usize];
};
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct dcf_spawn {
    pub struct_size: u32,
    pub flags: u32,
    pub target: dcf_vertex_id,
    pub udf: dcf_bytes,
    pub arguments: dcf_bytes,
    pub arguments_schema: *mut ArrowSchema,
    pub arguments_array: *mut ArrowArray,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of dcf_spawn"][::core::mem::size_of::<dcf_spawn>() - 72usize];
    ["Alignment of dcf_spawn"][::core::mem::align_of::<dcf_spawn>() - 8usize];
    ["Offset of field: dcf_spawn::struct_size"]
        [::core::mem::offset_of!(dcf_spawn, struct_size) - 0usize];
    ["Offset of field: dcf_spawn::flags"][::core::mem::offset_of!(dcf_spawn, flags) - 4usize];
    ["Offset of field: dcf_spawn::target"][::core::mem::offset_of!(dcf_spawn, target) - 8usize];
    ["Offset of field: dcf_spawn::udf"][::core::mem::offset_of!(dcf_spawn, udf) - 24usize];
    ["Offset of field: dcf_spawn::arguments"]
        [::core::mem::offset_of!(dcf_spawn, arguments) - 40usize];
    ["Offset of field: dcf_spawn::arguments_schema"]
        [::core::mem::offset_of!(dcf_spawn, arguments_schema) - 56usize];
    ["Offset of field: dcf_spawn::arguments_array"]
        [::core::mem::offset_of!(dcf_spawn, arguments_array) - 64usize];
};
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct dcf_output_api {
    pub struct_size: u32,
    pub abi_version: u32,
    pub bytes: ::core::option::Option<
        unsafe extern "C" fn(arg1: *mut dcf_output, part: dcf_bytes) -> dcf_status,
    >,
    pub reserve: ::core::option::Option<
        unsafe extern "C" fn(
            arg1: *mut dcf_output,
            size: usize,
            out: *mut *mut ::core::ffi::c_void,
        ) -> dcf_status,
    >,
    pub array: ::core::option::Option<
        unsafe extern "C" fn(
            arg1: *mut dcf_output,
            arg2: *mut ArrowSchema,
            arg3: *mut ArrowArray,
        ) -> dcf_status,
    >,
    pub spawn: ::core::option::Option<
        unsafe extern "C" fn(arg1: *mut dcf_output, arg2: *const dcf_spawn) -> dcf_status,
    >,
    pub set_value: ::core::option::Option<
        unsafe extern "C" fn(
            arg1: *mut dcf_output,
            arg2: *mut ArrowSchema,
            arg3: *mut ArrowArray,
        ) -> dcf_status,
    >,
    pub add_child: ::core::option::Option<
        unsafe extern "C" fn(
            arg1: *mut dcf_output,
            name: dcf_bytes,
            arg2: *mut ArrowSchema,
            arg3: *mut ArrowArray,
            out: *mut dcf_vertex_id,
        ) -> dcf_status,
    >,
    pub link: ::core::option::Option<
        unsafe extern "C" fn(arg1: *mut dcf_output, child: dcf_vertex_id) -> dcf_status,
    >,
    pub unlink: ::core::option::Option<
        unsafe extern "C" fn(arg1: *mut dcf_output, child: dcf_vertex_id) -> dcf_status,
    >,
    pub remove: ::core::option::Option<unsafe extern "C" fn(arg1: *mut dcf_output) -> dcf_status>,
    pub fail:
        ::core::option::Option<unsafe extern "C" fn(arg1: *mut dcf_output, message: dcf_bytes)>,
    pub log: ::core::option::Option<
        unsafe extern "C" fn(arg1: *mut dcf_output, level: i32, text: dcf_bytes),
    >,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of dcf_output_api"][::core::mem::size_of::<dcf_output_api>() - 96usize];
    ["Alignment of dcf_output_api"][::core::mem::align_of::<dcf_output_api>() - 8usize];
    ["Offset of field: dcf_output_api::struct_size"]
        [::core::mem::offset_of!(dcf_output_api, struct_size) - 0usize];
    ["Offset of field: dcf_output_api::abi_version"]
        [::core::mem::offset_of!(dcf_output_api, abi_version) - 4usize];
    ["Offset of field: dcf_output_api::bytes"]
        [::core::mem::offset_of!(dcf_output_api, bytes) - 8usize];
    ["Offset of field: dcf_output_api::reserve"]
        [::core::mem::offset_of!(dcf_output_api, reserve) - 16usize];
    ["Offset of field: dcf_output_api::array"]
        [::core::mem::offset_of!(dcf_output_api, array) - 24usize];
    ["Offset of field: dcf_output_api::spawn"]
        [::core::mem::offset_of!(dcf_output_api, spawn) - 32usize];
    ["Offset of field: dcf_output_api::set_value"]
        [::core::mem::offset_of!(dcf_output_api, set_value) - 40usize];
    ["Offset of field: dcf_output_api::add_child"]
        [::core::mem::offset_of!(dcf_output_api, add_child) - 48usize];
    ["Offset of field: dcf_output_api::link"]
        [::core::mem::offset_of!(dcf_output_api, link) - 56usize];
    ["Offset of field: dcf_output_api::unlink"]
        [::core::mem::offset_of!(dcf_output_api, unlink) - 64usize];
    ["Offset of field: dcf_output_api::remove"]
        [::core::mem::offset_of!(dcf_output_api, remove) - 72usize];
    ["Offset of field: dcf_output_api::fail"]
        [::core::mem::offset_of!(dcf_output_api, fail) - 80usize];
    ["Offset of field: dcf_output_api::log"]
        [::core::mem::offset_of!(dcf_output_api, log) - 88usize];
};
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct dcf_output {
    pub api: *const dcf_output_api,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of dcf_output"][::core::mem::size_of::<dcf_output>() - 8usize];
    ["Alignment of dcf_output"][::core::mem::align_of::<dcf_output>() - 8usize];
    ["Offset of field: dcf_output::api"][::core::mem::offset_of!(dcf_output, api) - 0usize];
};
pub type dcf_calculate_fn = ::core::option::Option<
    unsafe extern "C" fn(
        user_data: *mut ::core::ffi::c_void,
        input: *const dcf_udf_input,
        output: *mut dcf_output,
    ) -> dcf_status,
>;
pub type dcf_merge_fn = ::core::option::Option<
    unsafe extern "C" fn(
        user_data: *mut ::core::ffi::c_void,
        input: *const dcf_merge_input,
        output: *mut dcf_output,
    ) -> dcf_status,
>;
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct dcf_udf_definition {
    pub struct_size: u32,
    pub kind: u32,
    pub flags: u32,
    pub reserved: u32,
    pub name: dcf_bytes,
    pub version: dcf_bytes,
    pub auxiliary: dcf_bytes,
    pub calculate: dcf_calculate_fn,
    pub merge: dcf_merge_fn,
    pub finish: dcf_merge_fn,
    pub user_data: *mut ::core::ffi::c_void,
    pub user_data_free:
        ::core::option::Option<unsafe extern "C" fn(arg1: *mut ::core::ffi::c_void)>,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of dcf_udf_definition"][::core::mem::size_of::<dcf_udf_definition>() - 104usize];
    ["Alignment of dcf_udf_definition"][::core::mem::align_of::<dcf_udf_definition>() - 8usize];
    ["Offset of field: dcf_udf_definition::struct_size"]
        [::core::mem::offset_of!(dcf_udf_definition, struct_size) - 0usize];
    ["Offset of field: dcf_udf_definition::kind"]
        [::core::mem::offset_of!(dcf_udf_definition, kind) - 4usize];
    ["Offset of field: dcf_udf_definition::flags"]
        [::core::mem::offset_of!(dcf_udf_definition, flags) - 8usize];
    ["Offset of field: dcf_udf_definition::reserved"]
        [::core::mem::offset_of!(dcf_udf_definition, reserved) - 12usize];
    ["Offset of field: dcf_udf_definition::name"]
        [::core::mem::offset_of!(dcf_udf_definition, name) - 16usize];
    ["Offset of field: dcf_udf_definition::version"]
        [::core::mem::offset_of!(dcf_udf_definition, version) - 32usize];
    ["Offset of field: dcf_udf_definition::auxiliary"]
        [::core::mem::offset_of!(dcf_udf_definition, auxiliary) - 48usize];
    ["Offset of field: dcf_udf_definition::calculate"]
        [::core::mem::offset_of!(dcf_udf_definition, calculate) - 64usize];
    ["Offset of field: dcf_udf_definition::merge"]
        [::core::mem::offset_of!(dcf_udf_definition, merge) - 72usize];
    ["Offset of field: dcf_udf_definition::finish"]
        [::core::mem::offset_of!(dcf_udf_definition, finish) - 80usize];
    ["Offset of field: dcf_udf_definition::user_data"]
        [::core::mem::offset_of!(dcf_udf_definition, user_data) - 88usize];
    ["Offset of field: dcf_udf_definition::user_data_free"]
        [::core::mem::offset_of!(dcf_udf_definition, user_data_free) - 96usize];
};
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct dcf_call {
    pub struct_size: u32,
    pub flags: u32,
    pub udf: dcf_udf,
    pub targets: *const dcf_vertex,
    pub target_count: usize,
    pub arguments: dcf_bytes,
    pub buffer: *mut ::core::ffi::c_void,
    pub buffer_size: usize,
    pub timeout_ns: i64,
    pub ticket: u64,
    pub user_data: *mut ::core::ffi::c_void,
    pub more: *mut dcf_call_more,
    pub error: *mut dcf_error,
    pub result_size: usize,
    pub status: dcf_status,
    pub result_kind: u16,
    pub effects: u16,
    pub private_data: u64,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of dcf_call"][::core::mem::size_of::<dcf_call>() - 128usize];
    ["Alignment of dcf_call"][::core::mem::align_of::<dcf_call>() - 8usize];
    ["Offset of field: dcf_call::struct_size"]
        [::core::mem::offset_of!(dcf_call, struct_size) - 0usize];
    ["Offset of field: dcf_call::flags"][::core::mem::offset_of!(dcf_call, flags) - 4usize];
    ["Offset of field: dcf_call::udf"][::core::mem::offset_of!(dcf_call, udf) - 8usize];
    ["Offset of field: dcf_call::targets"][::core::mem::offset_of!(dcf_call, targets) - 16usize];
    ["Offset of field: dcf_call::target_count"]
        [::core::mem::offset_of!(dcf_call, target_count) - 24usize];
    ["Offset of field: dcf_call::arguments"]
        [::core::mem::offset_of!(dcf_call, arguments) - 32usize];
    ["Offset of field: dcf_call::buffer"][::core::mem::offset_of!(dcf_call, buffer) - 48usize];
    ["Offset of field: dcf_call::buffer_size"]
        [::core::mem::offset_of!(dcf_call, buffer_size) - 56usize];
    ["Offset of field: dcf_call::timeout_ns"]
        [::core::mem::offset_of!(dcf_call, timeout_ns) - 64usize];
    ["Offset of field: dcf_call::ticket"][::core::mem::offset_of!(dcf_call, ticket) - 72usize];
    ["Offset of field: dcf_call::user_data"]
        [::core::mem::offset_of!(dcf_call, user_data) - 80usize];
    ["Offset of field: dcf_call::more"][::core::mem::offset_of!(dcf_call, more) - 88usize];
    ["Offset of field: dcf_call::error"][::core::mem::offset_of!(dcf_call, error) - 96usize];
    ["Offset of field: dcf_call::result_size"]
        [::core::mem::offset_of!(dcf_call, result_size) - 104usize];
    ["Offset of field: dcf_call::status"][::core::mem::offset_of!(dcf_call, status) - 112usize];
    ["Offset of field: dcf_call::result_kind"]
        [::core::mem::offset_of!(dcf_call, result_kind) - 116usize];
    ["Offset of field: dcf_call::effects"][::core::mem::offset_of!(dcf_call, effects) - 118usize];
    ["Offset of field: dcf_call::private_data"]
        [::core::mem::offset_of!(dcf_call, private_data) - 120usize];
};
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct dcf_call_more {
    pub struct_size: u32,
    pub held: u32,
    pub target_ids: *const dcf_vertex_id,
    pub target_arguments: *const dcf_bytes,
    pub arguments_schema: *const ArrowSchema,
    pub arguments_array: *const ArrowArray,
    pub result_version: u64,
    pub served_by: u64,
    pub served_how: u32,
    pub reserved: u32,
    pub served_ns: i64,
    pub bytes_moved: u64,
    pub bytes_fetched: u64,
    pub result_bytes: dcf_bytes,
    pub error_detail: dcf_bytes,
    pub result_schema: ArrowSchema,
    pub result_array: ArrowArray,
    pub result_parts: ArrowArrayStream,
    pub private_data: [u64; 2usize],
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of dcf_call_more"][::core::mem::size_of::<dcf_call_more>() - 328usize];
    ["Alignment of dcf_call_more"][::core::mem::align_of::<dcf_call_more>() - 8usize];
    ["Offset of field: dcf_call_more::struct_size"]
        [::core::mem::offset_of!(dcf_call_more, struct_size) - 0usize];
    ["Offset of field: dcf_call_more::held"][::core::mem::offset_of!(dcf_call_more, held) - 4usize];
    ["Offset of field: dcf_call_more::target_ids"]
        [::core::mem::offset_of!(dcf_call_more, target_ids) - 8usize];
    ["Offset of field: dcf_call_more::target_arguments"]
        [::core::mem::offset_of!(dcf_call_more, target_arguments) - 16usize];
    ["Offset of field: dcf_call_more::arguments_schema"]
        [::core::mem::offset_of!(dcf_call_more, arguments_schema) - 24usize];
    ["Offset of field: dcf_call_more::arguments_array"]
        [::core::mem::offset_of!(dcf_call_more, arguments_array) - 32usize];
    ["Offset of field: dcf_call_more::result_version"]
        [::core::mem::offset_of!(dcf_call_more, result_version) - 40usize];
    ["Offset of field: dcf_call_more::served_by"]
        [::core::mem::offset_of!(dcf_call_more, served_by) - 48usize];
    ["Offset of field: dcf_call_more::served_how"]
        [::core::mem::offset_of!(dcf_call_more, served_how) - 56usize];
    ["Offset of field: dcf_call_more::reserved"]
        [::core::mem::offset_of!(dcf_call_more, reserved) - 60usize];
    ["Offset of field: dcf_call_more::served_ns"]
        [::core::mem::offset_of!(dcf_call_more, served_ns) - 64usize];
    ["Offset of field: dcf_call_more::bytes_moved"]
        [::core::mem::offset_of!(dcf_call_more, bytes_moved) - 72usize];
    ["Offset of field: dcf_call_more::bytes_fetched"]
        [::core::mem::offset_of!(dcf_call_more, bytes_fetched) - 80usize];
    ["Offset of field: dcf_call_more::result_bytes"]
        [::core::mem::offset_of!(dcf_call_more, result_bytes) - 88usize];
    ["Offset of field: dcf_call_more::error_detail"]
        [::core::mem::offset_of!(dcf_call_more, error_detail) - 104usize];
    ["Offset of field: dcf_call_more::result_schema"]
        [::core::mem::offset_of!(dcf_call_more, result_schema) - 120usize];
    ["Offset of field: dcf_call_more::result_array"]
        [::core::mem::offset_of!(dcf_call_more, result_array) - 192usize];
    ["Offset of field: dcf_call_more::result_parts"]
        [::core::mem::offset_of!(dcf_call_more, result_parts) - 272usize];
    ["Offset of field: dcf_call_more::private_data"]
        [::core::mem::offset_of!(dcf_call_more, private_data) - 312usize];
};
unsafe extern "C" {
    pub fn dcf_abi_version() -> u32;
    pub fn dcf_version() -> *const ::core::ffi::c_char;
    pub fn dcf_status_name(status: dcf_status) -> *const ::core::ffi::c_char;
    pub fn dcf_set_interrupt(
        check: ::core::option::Option<
            unsafe extern "C" fn(user_data: *mut ::core::ffi::c_void) -> i32,
        >,
        user_data: *mut ::core::ffi::c_void,
    );
    pub fn dcf_worker_open(
        options: *const dcf_worker_options,
        out: *mut dcf_worker,
        error: *mut dcf_error,
    ) -> dcf_status;
    pub fn dcf_worker_close(
        worker: dcf_worker,
        timeout_ns: i64,
        error: *mut dcf_error,
    ) -> dcf_status;
    pub fn dcf_worker_node_id(
        worker: dcf_worker,
        out: *mut u64,
        error: *mut dcf_error,
    ) -> dcf_status;
    pub fn dcf_worker_nodes(
        worker: dcf_worker,
        out: *mut ArrowArrayStream,
        error: *mut dcf_error,
    ) -> dcf_status;
    pub fn dcf_worker_vertices(
        worker: dcf_worker,
        prefix: dcf_bytes,
        out: *mut ArrowArrayStream,
        error: *mut dcf_error,
    ) -> dcf_status;
    pub fn dcf_worker_stats(
        worker: dcf_worker,
        out: *mut ArrowArrayStream,
        error: *mut dcf_error,
    ) -> dcf_status;
    pub fn dcf_vertex_put(
        worker: dcf_worker,
        options: *const dcf_put_options,
        schema: *mut ArrowSchema,
        array: *mut ArrowArray,
        out: *mut dcf_vertex,
        error: *mut dcf_error,
    ) -> dcf_status;
    pub fn dcf_vertex_put_stream(
        worker: dcf_worker,
        options: *const dcf_put_options,
        stream: *mut ArrowArrayStream,
        out: *mut dcf_vertex,
        error: *mut dcf_error,
    ) -> dcf_status;
    pub fn dcf_builder_open(
        worker: dcf_worker,
        schema: *const ArrowSchema,
        rows: i64,
        out: *mut dcf_builder,
        error: *mut dcf_error,
    ) -> dcf_status;
    pub fn dcf_builder_column(
        builder: dcf_builder,
        column: usize,
        capacity: i64,
        out: *mut dcf_column,
        error: *mut dcf_error,
    ) -> dcf_status;
    pub fn dcf_builder_dictionary(
        builder: dcf_builder,
        column: usize,
        values: *mut ArrowArray,
        error: *mut dcf_error,
    ) -> dcf_status;
    pub fn dcf_builder_commit(
        builder: dcf_builder,
        options: *const dcf_put_options,
        value_out: *mut ArrowArray,
        out: *mut dcf_vertex,
        error: *mut dcf_error,
    ) -> dcf_status;
    pub fn dcf_builder_abort(builder: dcf_builder, error: *mut dcf_error) -> dcf_status;
    pub fn dcf_array_concat(
        schema: *const ArrowSchema,
        arrays: *const *const ArrowArray,
        count: usize,
        out: *mut ArrowArray,
        error: *mut dcf_error,
    ) -> dcf_status;
    pub fn dcf_vertex_open(
        worker: dcf_worker,
        id: dcf_vertex_id,
        out: *mut dcf_vertex,
        error: *mut dcf_error,
    ) -> dcf_status;
    pub fn dcf_vertex_open_name(
        worker: dcf_worker,
        name: dcf_bytes,
        out: *mut dcf_vertex,
        error: *mut dcf_error,
    ) -> dcf_status;
    pub fn dcf_vertex_info_get(
        vertex: dcf_vertex,
        out: *mut dcf_vertex_info,
        error: *mut dcf_error,
    ) -> dcf_status;
    pub fn dcf_vertex_name(
        vertex: dcf_vertex,
        buffer: *mut ::core::ffi::c_void,
        size: usize,
        size_out: *mut usize,
        error: *mut dcf_error,
    ) -> dcf_status;
    pub fn dcf_vertex_export(
        vertex: dcf_vertex,
        timeout_ns: i64,
        schema_out: *mut ArrowSchema,
        array_out: *mut ArrowArray,
        error: *mut dcf_error,
    ) -> dcf_status;
    pub fn dcf_vertex_stream(
        vertex: dcf_vertex,
        out: *mut ArrowArrayStream,
        error: *mut dcf_error,
    ) -> dcf_status;
    pub fn dcf_vertex_set(
        vertex: dcf_vertex,
        expected_version: u64,
        schema: *mut ArrowSchema,
        array: *mut ArrowArray,
        version_out: *mut u64,
        error: *mut dcf_error,
    ) -> dcf_status;
    pub fn dcf_vertex_link(
        from: dcf_vertex,
        to: dcf_vertex_id,
        error: *mut dcf_error,
    ) -> dcf_status;
    pub fn dcf_vertex_unlink(
        from: dcf_vertex,
        to: dcf_vertex_id,
        error: *mut dcf_error,
    ) -> dcf_status;
    pub fn dcf_vertex_edges(
        vertex: dcf_vertex,
        direction: u32,
        out: *mut ArrowArrayStream,
        error: *mut dcf_error,
    ) -> dcf_status;
    pub fn dcf_vertex_release(vertex: dcf_vertex, error: *mut dcf_error) -> dcf_status;
    pub fn dcf_vertex_drop(vertex: dcf_vertex, error: *mut dcf_error) -> dcf_status;
    pub fn dcf_input_export(
        input: *const dcf_udf_input,
        schema_out: *mut ArrowSchema,
        array_out: *mut ArrowArray,
    ) -> dcf_status;
    pub fn dcf_part_export(
        input: *const dcf_merge_input,
        index: usize,
        schema_out: *mut ArrowSchema,
        array_out: *mut ArrowArray,
    ) -> dcf_status;
    pub fn dcf_input_view(
        input: *const dcf_udf_input,
        key: *const ::core::ffi::c_void,
    ) -> *mut ::core::ffi::c_void;
    pub fn dcf_input_set_view(
        input: *const dcf_udf_input,
        key: *const ::core::ffi::c_void,
        view: *mut ::core::ffi::c_void,
        view_free: ::core::option::Option<unsafe extern "C" fn(arg1: *mut ::core::ffi::c_void)>,
    ) -> dcf_status;
    pub fn dcf_udf_register(
        worker: dcf_worker,
        definition: *const dcf_udf_definition,
        out: *mut dcf_udf,
        error: *mut dcf_error,
    ) -> dcf_status;
    pub fn dcf_udf_open(
        worker: dcf_worker,
        name: dcf_bytes,
        out: *mut dcf_udf,
        error: *mut dcf_error,
    ) -> dcf_status;
    pub fn dcf_udf_release(udf: dcf_udf, error: *mut dcf_error) -> dcf_status;
    pub fn dcf_udf_drop(udf: dcf_udf, timeout_ns: i64, error: *mut dcf_error) -> dcf_status;
    pub fn dcf_call_run(
        worker: dcf_worker,
        calls: *mut dcf_call,
        count: usize,
        error: *mut dcf_error,
    ) -> dcf_status;
    pub fn dcf_call_try(
        worker: dcf_worker,
        calls: *mut dcf_call,
        count: usize,
        done_out: *mut usize,
        error: *mut dcf_error,
    ) -> dcf_status;
    pub fn dcf_call_clear(call: *mut dcf_call);
    pub fn dcf_queue_open(
        worker: dcf_worker,
        out: *mut dcf_queue,
        error: *mut dcf_error,
    ) -> dcf_status;
    pub fn dcf_queue_submit(
        queue: dcf_queue,
        calls: *mut dcf_call,
        count: usize,
        error: *mut dcf_error,
    ) -> dcf_status;
    pub fn dcf_queue_poll(
        queue: dcf_queue,
        done: *mut *mut dcf_call,
        capacity: usize,
        timeout_ns: i64,
        count_out: *mut usize,
        error: *mut dcf_error,
    ) -> dcf_status;
    pub fn dcf_queue_fd(queue: dcf_queue, out: *mut i32, error: *mut dcf_error) -> dcf_status;
    pub fn dcf_queue_cancel(queue: dcf_queue, ticket: u64, error: *mut dcf_error) -> dcf_status;
    pub fn dcf_queue_close(queue: dcf_queue, error: *mut dcf_error) -> dcf_status;
}
