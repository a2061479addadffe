#![doc = include_str!("../README.md")]
#![no_std]

/// What `dcf.h` declares.
#[allow(non_camel_case_types, non_snake_case, missing_docs, unreachable_pub, clippy::all)]
mod bindings {
    #[cfg(not(feature = "bindgen"))]
    include!("bindings.rs");
    #[cfg(feature = "bindgen")]
    include!(concat!(env!("OUT_DIR"), "/bindings.rs"));
}

use core::{mem, ptr};

pub use bindings::*;

/// Gives a struct of `dcf.h` its first value, which the header has as `DCF_..._INIT`: its size, and
/// zeros but for what is named.
macro_rules! init {
    ($($name:ident { $($field:ident: $value:expr),* })*) => {$(
        impl $name {
            /// What a program starts from, as `dcf.h` has it.
            pub const INIT: Self = Self {
                struct_size: mem::size_of::<Self>() as u32,
                $($field: $value,)*
                // SAFETY: all that is in this struct may be zero: numbers, pointers, and functions
                // in an Option.
                ..unsafe { mem::zeroed() }
            };
        }
    )*};
}

init! {
    dcf_worker_options { spin_ns: -1 }
    dcf_vertex_info {}
    dcf_put_options {}
    dcf_column {}
    dcf_spawn {}
    dcf_udf_definition {}
    dcf_call {}
    dcf_call_more {}
}

impl dcf_call_more {
    /// Writes what a program must write before a call: all but the results, which are the larger
    /// part of it.
    ///
    /// # Safety
    /// `place` is memory for one.
    #[inline]
    pub unsafe fn init(place: *mut Self) {
        let asked = mem::offset_of!(Self, result_version);
        let from: &'static Self = &Self::INIT;
        // SAFETY: the memory is there, as promised; the results come last.
        unsafe { ptr::copy_nonoverlapping(ptr::from_ref(from).cast::<u8>(), place.cast(), asked) };
    }
}

impl dcf_bytes {
    /// Lends bytes to the library.
    pub const fn new(bytes: &[u8]) -> Self {
        // The address of an empty slice may be one that Go's runtime takes for a broken pointer.
        if bytes.is_empty() {
            return Self::EMPTY;
        }
        Self { data: bytes.as_ptr().cast(), size: bytes.len() }
    }

    /// No bytes.
    pub const EMPTY: Self = Self { data: core::ptr::null(), size: 0 };
}

#[cfg(test)]
mod tests {
    use super::dcf_bytes;

    #[test]
    fn no_bytes_are_null() {
        assert!(dcf_bytes::new(&[]).data.is_null());
        assert_eq!(dcf_bytes::new(b"dcf").size, 3);
    }
}
