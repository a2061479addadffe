//! Errors: one variant for each status of libdcf.

use std::fmt;

use dcf_sys as sys;

use crate::vertex_id::VertexId;

/// What dcf functions give.
pub type Result<T, E = Error> = std::result::Result<T, E>;

macro_rules! statuses {
    ($($name:ident, $constant:ident, $text:literal, $hint:literal;)*) => {
        /// How something ended, as `dcf.h` numbers it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        #[repr(i32)]
        pub enum Status {
            $(#[doc = $text] $name = sys::$constant as i32,)*
        }

        impl Status {
            /// The name in the C interface, such as `"DCF_TIMEOUT"`.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => stringify!($constant),)* }
            }

            /// What to do about this kind of error.
            pub const fn hint(self) -> &'static str {
                match self { $(Self::$name => $hint,)* }
            }

            /// Anything that is no status is a bug in libdcf.
            pub(crate) fn from_code(code: sys::dcf_status) -> Self {
                match code as u32 { $(sys::$constant => Self::$name,)* _ => Self::Internal }
            }
        }

        /// Something that dcf could not do: one variant for each [`Status`].
        ///
        /// ```
        /// let worker = dcf::Worker::open(&dcf::Options::default())?;
        /// match worker.vertex("no such vertex") {
        ///     Err(dcf::Error::NotFound(details)) => assert!(details.message.contains("no such")),
        ///     other => panic!("{other:?}"),
        /// }
        /// # Ok::<(), dcf::Error>(())
        /// ```
        #[derive(Clone, Debug)]
        #[non_exhaustive]
        pub enum Error {
            $(#[doc = $text] $name(Box<Details>),)*
        }

        impl Error {
            fn with(status: Status, details: Box<Details>) -> Self {
                match status { $(Status::$name => Self::$name(details),)* }
            }

            /// Its kind.
            pub const fn status(&self) -> Status {
                match self { $(Self::$name(_) => Status::$name,)* }
            }

            /// All that is known about it.
            pub const fn details(&self) -> &Details {
                match self { $(Self::$name(details) => details,)* }
            }

            fn details_mut(&mut self) -> &mut Details {
                match self { $(Self::$name(details) => details,)* }
            }
        }
    };
}

statuses! {
    Internal, DCF_INTERNAL, "A bug in dcf; the worker refuses further calls.",
        "this is a bug in dcf: close the worker, and please report it with its message";
    InvalidArgument, DCF_INVALID_ARGUMENT, "The request is wrong, whatever the state of the cluster.",
        "correct the argument that the message names";
    BadHandle, DCF_BAD_HANDLE, "The worker, vertex or function was closed or dropped.",
        "open it again";
    NotFound, DCF_NOT_FOUND, "It is known not to exist; never a guess.",
        "check the name: Worker::vertices() lists what there is";
    AlreadyExists, DCF_ALREADY_EXISTS, "The name or address is taken.",
        "choose another name, or replace what is there";
    Unavailable, DCF_UNAVAILABLE, "The node that would know cannot be reached.",
        "see in Worker::nodes() who is alive, and try again";
    Timeout, DCF_TIMEOUT, "The deadline passed.",
        "give the call a longer timeout, or look why it takes so long";
    Cancelled, DCF_CANCELLED, "The call was given up.",
        "somebody gave the call up, or closed its worker";
    Exhausted, DCF_EXHAUSTED, "A named limit was reached.",
        "wait and try again, or raise the limit that the message names";
    UdfFailed, DCF_UDF_FAILED, "The user's function failed; the worker is unharmed.",
        "see the detail for where the function failed";
    Unsupported, DCF_UNSUPPORTED, "Not possible here.",
        "the message says what is possible instead";
    Denied, DCF_DENIED, "Not allowed.",
        "ask for the permission that the message names";
    Aborted, DCF_ABORTED, "A conflict: nothing was applied.",
        "read the current version and start over";
    Corrupt, DCF_CORRUPT, "Stored or received data fails its checks.",
        "check that all nodes run the same version of dcf, and the source of the data";
    Interrupted, DCF_INTERRUPTED, "The process's interrupt function ended the wait.",
        "try again once the interruption was dealt with";
}

/// What changed before a call ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Effects {
    /// Nothing.
    #[default]
    None,
    /// What the call asked for was applied.
    Complete,
    /// The answer was lost: some of it may have been applied.
    Unknown,
}

impl Effects {
    pub(crate) fn from_code(code: u16) -> Self {
        match u32::from(code) {
            sys::DCF_EFFECTS_NONE => Self::None,
            sys::DCF_EFFECTS_COMPLETE => Self::Complete,
            _ => Self::Unknown,
        }
    }
}

/// What is known about an [`Error`].
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Details {
    /// Says what is wrong and what to do.
    pub message: String,
    /// The node where it happened; 0: this worker.
    pub node: u64,
    /// The vertex that it concerns.
    pub vertex: Option<VertexId>,
    /// `errno` where the cause was a system call, else 0.
    pub os_error: i32,
    /// The whole text of a function's failure: causes, a backtrace. Empty where there is none.
    pub detail: String,
    /// What the failed call has changed all the same.
    pub effects: Effects,
}

impl Error {
    pub(crate) fn new(status: Status, message: impl Into<String>) -> Self {
        Self::with(status, Box::new(Details { message: message.into(), ..Details::default() }))
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(Status::InvalidArgument, message)
    }

    #[cold]
    pub(crate) fn forked() -> Self {
        Self::new(
            Status::Unsupported,
            "dcf does not work in a forked process: start a new program (fork and exec) instead",
        )
    }

    /// Out of what the library wrote.
    #[cold]
    pub(crate) fn from_raw(status: sys::dcf_status, error: &sys::dcf_error) -> Self {
        let text = error.message.iter().take_while(|c| **c != 0).map(|c| *c as u8).collect();
        let vertex = VertexId::from_bytes(error.vertex.bytes);
        let details = Details {
            message: String::from_utf8(text).unwrap_or_else(|e| e.to_string()),
            node: error.node,
            vertex: (vertex != VertexId::default()).then_some(vertex),
            os_error: error.os_error,
            ..Details::default()
        };
        Self::with(Status::from_code(status), Box::new(details))
    }

    pub(crate) fn with_detail(mut self, detail: String, effects: Effects) -> Self {
        let details = self.details_mut();
        details.detail = detail;
        details.effects = effects;
        self
    }

    /// Says what is wrong and what to do.
    pub fn message(&self) -> &str {
        &self.details().message
    }

    /// What to do about this kind of error.
    pub fn hint(&self) -> &'static str {
        self.status().hint()
    }

    /// The node where it happened; 0: this worker.
    pub fn node(&self) -> u64 {
        self.details().node
    }

    /// The vertex that it concerns.
    pub fn vertex(&self) -> Option<VertexId> {
        self.details().vertex
    }

    /// The whole text of a function's failure: causes, a backtrace. Empty where there is none.
    pub fn detail(&self) -> &str {
        &self.details().detail
    }

    /// What the failed call has changed all the same.
    pub fn effects(&self) -> Effects {
        self.details().effects
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let details = self.details();
        let text = if details.message.is_empty() { self.hint() } else { &details.message };
        write!(f, "{}: {text}", self.status().name())?;
        if details.node != 0 {
            write!(f, " (on node {})", details.node)?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {}

impl From<arrow_schema::ArrowError> for Error {
    fn from(error: arrow_schema::ArrowError) -> Self {
        Self::invalid(format!("Arrow: {error}"))
    }
}

/// Runs a function of the library, and makes an [`Error`] of what it says.
#[inline]
pub(crate) fn call(run: impl FnOnce(*mut sys::dcf_error) -> sys::dcf_status) -> Result<()> {
    crate::library::usable()?;
    let mut error = std::mem::MaybeUninit::<sys::dcf_error>::uninit();
    let status = run(error.as_mut_ptr());
    if status == sys::DCF_OK as i32 {
        return Ok(());
    }
    // SAFETY: on another status than DCF_OK the library has written the error.
    Err(Error::from_raw(status, unsafe { error.assume_init_ref() }))
}
