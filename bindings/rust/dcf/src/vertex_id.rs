//! Identities of vertices.

use std::fmt;
use std::str::FromStr;

use dcf_sys as sys;

use crate::error::{Error, Result};

/// Names a vertex in the whole cluster: 16 opaque bytes, shown as 32 hexadecimal digits.
///
/// ```
/// let id: dcf::VertexId = "000102030405060708090a0b0c0d0e0f".parse()?;
/// assert_eq!(id.as_bytes()[15], 15);
/// assert_eq!(id.to_string(), "000102030405060708090a0b0c0d0e0f");
/// # Ok::<(), dcf::Error>(())
/// ```
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct VertexId([u8; 16]);

impl VertexId {
    /// An id out of its bytes, as [`VertexId::as_bytes`] gave them.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    pub(crate) const fn raw(self) -> sys::dcf_vertex_id {
        sys::dcf_vertex_id { bytes: self.0 }
    }

    /// The ids of a list of the library.
    ///
    /// # Safety
    /// `first` points to `count` ids that stay as they are for `'a`, or `count` is 0.
    pub(crate) unsafe fn slice<'a>(first: *const sys::dcf_vertex_id, count: usize) -> &'a [Self] {
        if count == 0 {
            return &[];
        }
        // SAFETY: VertexId has the layout of dcf_vertex_id, and the caller promises the rest.
        unsafe { std::slice::from_raw_parts(first.cast(), count) }
    }
}

impl FromStr for VertexId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let wrong =
            || Error::invalid(format!("{text:?} is no vertex id: 32 hexadecimal digits are"));
        let mut bytes = [0; 16];
        if text.len() != 32 || !text.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Err(wrong());
        }
        for (i, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&text[2 * i..2 * i + 2], 16).map_err(|_| wrong())?;
        }
        Ok(Self(bytes))
    }
}

impl fmt::Display for VertexId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for VertexId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VertexId({self})")
    }
}
