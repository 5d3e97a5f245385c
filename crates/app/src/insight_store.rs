//! The port to what explains calls: refusals, and what is forgotten on request.

use std::future::Future;

use causeway_types::UnixTime;

use crate::{
    AddressPrivacy, DoctorLinkView, DoctorResult, NewDoctorLink, OpenedLink, Store, StoreResult,
    model::{
        DayCounts, Erased, ErasureSubject, Failure, FailureFilter, FailureGroup, FailureGroupBy, FailureView,
        LiveCounts, Page, PageRequest, ProjectId,
    },
};

/// What explains calls, as it is kept; the same promise as [`Store`].
pub trait InsightStore: Store {
    /// From here on this much is written of the addresses of a project's clients and peers.
    fn set_address_privacy(&self, project: ProjectId, privacy: AddressPrivacy);

    /// Writes refusals. Counts are absolute: writing the same twice counts nothing twice.
    fn write_failures(&self, failures: &[Failure]) -> impl Future<Output = StoreResult<()>> + Send;

    /// A project's refusals, newest first.
    fn failures(
        &self,
        project: ProjectId,
        filter: &FailureFilter,
        page: &PageRequest,
    ) -> impl Future<Output = StoreResult<Page<FailureView>>> + Send;

    /// A project's refusals summed up, the largest group first; at most 200 groups.
    fn failure_groups(
        &self,
        project: ProjectId,
        filter: &FailureFilter,
        by: FailureGroupBy,
    ) -> impl Future<Output = StoreResult<Vec<FailureGroup>>> + Send;

    /// What lives in a project now.
    fn live_counts(&self, project: ProjectId) -> impl Future<Output = StoreResult<LiveCounts>> + Send;

    /// What happened in a project since a full hour.
    fn day_counts(&self, project: ProjectId, since: UnixTime) -> impl Future<Output = StoreResult<DayCounts>> + Send;

    /// Forgets a batch of a project's sessions that ended, refusals that were last met, and credentials that expired before a
    /// time. Sums of usage stay. How many; none when nothing is left.
    fn forget_before(&self, project: ProjectId, before: UnixTime) -> impl Future<Output = StoreResult<u64>> + Send;

    /// Deletes a batch of a project's oldest refusals, as far as it has more than `keep`; how many.
    fn trim_failures(&self, project: ProjectId, keep: u64) -> impl Future<Output = StoreResult<u64>> + Send;

    /// Forgets everything about a room or client, in small transactions; its sessions must be over.
    fn erase(&self, project: ProjectId, subject: &ErasureSubject) -> impl Future<Output = StoreResult<Erased>> + Send;

    /// Keeps a doctor link; those whose time was over long ago are forgotten.
    fn insert_doctor_link(&self, link: &NewDoctorLink) -> impl Future<Output = StoreResult<i64>> + Send;

    /// How many links of a project can be opened.
    fn doctor_links_live(&self, project: ProjectId, now: UnixTime) -> impl Future<Output = StoreResult<u64>> + Send;

    /// A project's doctor links, newest first.
    fn doctor_links(
        &self,
        project: ProjectId,
        page: &PageRequest,
    ) -> impl Future<Output = StoreResult<Page<DoctorLinkView>>> + Send;

    /// Counts an opening of the link with this hash; none when it cannot be opened.
    fn open_doctor_link(
        &self,
        hash: [u8; 32],
        now: UnixTime,
    ) -> impl Future<Output = StoreResult<Option<OpenedLink>>> + Send;

    /// Keeps a result over the link with this hash; whether there is such a link with room for one.
    fn add_doctor_result(
        &self,
        hash: [u8; 32],
        body: &str,
        now: UnixTime,
        results_max: u32,
    ) -> impl Future<Output = StoreResult<bool>> + Send;

    /// What came of a project's link, oldest first.
    fn doctor_results(
        &self,
        project: ProjectId,
        link: i64,
    ) -> impl Future<Output = StoreResult<Vec<DoctorResult>>> + Send;
}
