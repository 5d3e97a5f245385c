//! The port to whoever knows which calls go on now.

use std::{fmt, future::Future, pin::Pin};

use crate::{CallBook, CallView, ProjectId};

/// Calls that go on, and those that ended a moment ago and are not kept yet.
pub trait LiveCalls: Send + Sync + 'static {
    /// A project's, on all servers that can be asked: newest first. Where their parties are is not told.
    fn of_project(&self, project: ProjectId) -> Pin<Box<dyn Future<Output = Vec<CallView>> + Send + '_>>;
}

/// Of one server.
impl LiveCalls for CallBook {
    fn of_project(&self, project: ProjectId) -> Pin<Box<dyn Future<Output = Vec<CallView>> + Send + '_>> {
        Box::pin(std::future::ready(self.views(project)))
    }
}

impl fmt::Debug for dyn LiveCalls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LiveCalls")
    }
}
