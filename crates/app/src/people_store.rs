//! The port to what is remembered of people.

use std::future::Future;

use causeway_types::UnixTime;

use crate::{NewUser, OneTimeLink, OrganizationId, StoreResult, UserChange, UserId, UserView};

/// What a one-time link is turned into.
#[derive(Clone, Debug)]
pub struct Redemption {
    /// The new password as stored.
    pub password_hash: String,
    /// E-mail address and name of the first owner; not looked at for other links.
    pub first: Option<(String, String)>,
    /// What to call an invited person.
    pub name: Option<String>,
}

/// What the control plane remembers of people; every write that returned `Ok` survives a crash.
pub trait PeopleStore: Send + Sync + 'static {
    /// Whether somebody can sign in already.
    fn has_owner(&self, organization: OrganizationId) -> impl Future<Output = StoreResult<bool>> + Send;

    /// Everybody, by e-mail address.
    fn users(&self, organization: OrganizationId) -> impl Future<Output = StoreResult<Vec<UserView>>> + Send;

    /// One of them.
    fn user(
        &self,
        organization: OrganizationId,
        id: UserId,
    ) -> impl Future<Output = StoreResult<Option<UserView>>> + Send;

    /// The person with this e-mail address, and the password as stored.
    fn user_by_email(
        &self,
        email: &str,
    ) -> impl Future<Output = StoreResult<Option<(UserView, Option<String>)>>> + Send;

    /// The person an OpenID provider knows by this issuer and subject.
    fn user_by_provider(&self, provider_id: &str) -> impl Future<Output = StoreResult<Option<UserView>>> + Send;

    /// Adds a person.
    fn insert_user(
        &self,
        organization: OrganizationId,
        user: &NewUser,
        now: UnixTime,
    ) -> impl Future<Output = StoreResult<UserId>> + Send;

    /// Changes a person unless no owner would be left who can sign in; whether it was done.
    fn change_user(
        &self,
        organization: OrganizationId,
        id: UserId,
        change: &UserChange,
    ) -> impl Future<Output = StoreResult<bool>> + Send;

    /// Ties a person to an OpenID provider's subject, unless they are tied to one that begins with `issuer_prefix`
    /// already; whether it was done. Invitations to choose a password are over then.
    fn tie_user(
        &self,
        id: UserId,
        provider_id: &str,
        issuer_prefix: &str,
    ) -> impl Future<Output = StoreResult<bool>> + Send;

    /// Replaces a password.
    fn set_password(&self, id: UserId, password_hash: &str) -> impl Future<Output = StoreResult<()>> + Send;

    /// Keeps a sign-in; those of everybody from before `forget_before`, and all but the newest few of this person, are
    /// forgotten.
    fn insert_sign_in(
        &self,
        hash: [u8; 32],
        user: UserId,
        now: UnixTime,
        forget_before: UnixTime,
    ) -> impl Future<Output = StoreResult<()>> + Send;

    /// Ends a sign-in.
    fn end_sign_in(&self, hash: [u8; 32]) -> impl Future<Output = StoreResult<()>> + Send;

    /// Ends every sign-in of a person.
    fn end_sign_ins(&self, user: UserId) -> impl Future<Output = StoreResult<()>> + Send;

    /// Keeps a one-time link in place of those of the same person and kind; those that expired are forgotten.
    fn insert_link(
        &self,
        hash: [u8; 32],
        link: &OneTimeLink,
        now: UnixTime,
    ) -> impl Future<Output = StoreResult<()>> + Send;

    /// A link that still works.
    fn link(&self, hash: [u8; 32], now: UnixTime) -> impl Future<Output = StoreResult<Option<OneTimeLink>>> + Send;

    /// Uses a link up, in one transaction: the first owner is made, or the password is set and every sign-in of that person
    /// ends. Who that is; none when the link does not work.
    fn redeem(
        &self,
        hash: [u8; 32],
        redemption: &Redemption,
        now: UnixTime,
    ) -> impl Future<Output = StoreResult<Option<UserId>>> + Send;

    /// An organization's settings by name.
    fn settings(&self, organization: OrganizationId)
    -> impl Future<Output = StoreResult<Vec<(String, String)>>> + Send;

    /// Replaces settings, in one transaction; a value of none removes one.
    fn put_settings(
        &self,
        organization: OrganizationId,
        settings: &[(&str, Option<String>)],
    ) -> impl Future<Output = StoreResult<()>> + Send;
}
