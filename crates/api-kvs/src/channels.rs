//! The control plane: channels, their versions, tags and endpoints (`compat/aws-kvs.md#control-plane`).

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use axum::{http::StatusCode, response::Response};
use base64::{Engine, engine::general_purpose::STANDARD};
use causeway_app::{ChannelChange, SignalChannel, SignalChannelId, StoreError};
use causeway_types::Now;
use serde_json::{Map, Value, json};

use crate::{
    KvsStore,
    arn::ChannelArn,
    call::{Call, Operation},
    error::{KvsError, answer as respond},
    fields::{Fields, Form, TAGS_MAX, missing, too_many_tags},
};

/// How long messages wait when a channel does not say.
const MESSAGE_TTL_SECS: i64 = 60;
/// Channels in an answer when a request does not say.
const RESULTS: i64 = 500;
/// Channels read at once.
const BATCH: u32 = 500;

/// Answers an operation of the control plane.
pub(crate) async fn answer<S: KvsStore>(call: &Call<'_, S>, body: &Map<String, Value>) -> Result<Response, KvsError> {
    let fields = Fields::new(body);
    let body = match call.operation {
        Operation::CreateSignalingChannel => create(call, fields).await?,
        Operation::DescribeSignalingChannel => {
            let channel = named(call, fields).await?;
            json!({"ChannelInfo": info(call, &channel)})
        }
        Operation::ListSignalingChannels => list(call, fields).await?,
        Operation::UpdateSignalingChannel => update(call, fields).await?,
        Operation::DeleteSignalingChannel => delete(call, fields).await?,
        Operation::GetSignalingChannelEndpoint => endpoint(call, fields).await?,
        Operation::TagResource => tag(call, fields).await?,
        Operation::UntagResource => untag(call, fields).await?,
        Operation::ListTagsForResource => list_tags(call, fields).await?,
        Operation::DescribeMediaStorageConfiguration => {
            named(call, fields).await?;
            json!({"MediaStorageConfiguration": {"Status": "DISABLED", "StreamARN": null}})
        }
        Operation::UpdateMediaStorageConfiguration => update_storage(call, fields).await?,
        Operation::JoinStorageSession | Operation::JoinStorageSessionAsViewer => join_storage(call, fields).await?,
        Operation::GetIceServerConfig | Operation::SendAlexaOfferToMaster => return Err(KvsError::internal()),
    };
    Ok(respond(StatusCode::OK, &body))
}

/// The channel of an ARN, if the key may do this to it.
pub(crate) async fn by_arn<S: KvsStore>(call: &Call<'_, S>, arn: &ChannelArn) -> Result<SignalChannel, KvsError> {
    by_arn_as(call, arn, None).await
}

/// The same for a client of it.
pub(crate) async fn by_arn_as<S: KvsStore>(
    call: &Call<'_, S>,
    arn: &ChannelArn,
    client: Option<&str>,
) -> Result<SignalChannel, KvsError> {
    call.permit(&arn.name, client)?;
    let settings = &call.state.settings;
    if arn.region != settings.region || arn.account != settings.account {
        return Err(KvsError::not_found());
    }
    let channel = call.state.store.signal_channel(call.key.project, &arn.name).await?;
    channel.filter(|channel| arn.names(channel)).ok_or_else(KvsError::not_found)
}

/// The channel of `ChannelName` or `ChannelARN`.
async fn named<S: KvsStore>(call: &Call<'_, S>, fields: Fields<'_>) -> Result<SignalChannel, KvsError> {
    let name = fields.text("ChannelName", (1, 256), Form::Name)?;
    let arn = fields.arn("ChannelARN")?;
    match (name, arn) {
        (None, None) => Err(KvsError::invalid("Either ChannelName or ChannelARN must be given.")),
        (Some(name), Some(arn)) if name != arn.name => {
            Err(KvsError::invalid("ChannelName and ChannelARN name different channels."))
        }
        (_, Some(arn)) => by_arn(call, &arn).await,
        (Some(name), None) => {
            call.permit(name, None)?;
            let channel = call.state.store.signal_channel(call.key.project, name).await?;
            channel.ok_or_else(KvsError::not_found)
        }
    }
}

/// Members in the order the original sends them.
fn info<S>(call: &Call<'_, S>, channel: &SignalChannel) -> Value {
    let settings = &call.state.settings;
    #[expect(clippy::cast_precision_loss, reason = "milliseconds of this age fit a double exactly")]
    let created = channel.created_at.as_millis() as f64 / 1000.0;
    json!({
        "ChannelARN": ChannelArn::of(channel, &settings.region, &settings.account).to_string(),
        "ChannelName": channel.name,
        "ChannelStatus": "ACTIVE",
        "ChannelType": "SINGLE_MASTER",
        "CreationTime": created,
        "SingleMasterConfiguration": {"MessageTtlSeconds": channel.message_ttl.as_secs()},
        "Version": channel.version,
    })
}

/// 20 letters and digits that no version had before.
fn new_version() -> Result<String, KvsError> {
    let mut random = [0; 10];
    aws_lc_rs::rand::fill(&mut random).map_err(|_| KvsError::internal())?;
    Ok(hex::encode(random))
}

fn message_ttl(fields: Fields<'_>) -> Result<Option<Duration>, KvsError> {
    let Some(configuration) = fields.object("SingleMasterConfiguration")? else { return Ok(None) };
    let secs = configuration.integer("MessageTtlSeconds", (5, 120))?.unwrap_or(MESSAGE_TTL_SECS);
    Ok(Some(Duration::from_secs(secs.unsigned_abs())))
}

async fn create<S: KvsStore>(call: &Call<'_, S>, fields: Fields<'_>) -> Result<Value, KvsError> {
    let name = fields.needed("ChannelName", (1, 256), Form::Name)?;
    let kind = fields.text("ChannelType", (1, 64), Form::OneOf(&["SINGLE_MASTER", "FULL_MESH"]))?;
    if kind == Some("FULL_MESH") {
        return Err(KvsError::invalid("ChannelType FULL_MESH is not supported."));
    }
    let message_ttl = message_ttl(fields)?.unwrap_or(Duration::from_secs(MESSAGE_TTL_SECS.unsigned_abs()));
    let tags: BTreeMap<String, String> = fields.tags("Tags", 0)?.unwrap_or_default().into_iter().collect();
    call.permit(name, None)?;
    let (state, project) = (call.state, call.key.project);
    let in_use = || {
        let message = format!("The channel {name} is in use: a channel of this name exists.");
        KvsError::new(StatusCode::BAD_REQUEST, "ResourceInUseException", message)
    };
    if state.store.signal_channel(project, name).await?.is_some() {
        return Err(in_use());
    }
    if state.store.signal_channel_count(project).await? >= state.settings.channels_max {
        let message =
            "You have reached the maximum limit of active signaling channels for this account in this region.";
        return Err(KvsError::new(StatusCode::BAD_REQUEST, "AccountChannelLimitExceededException", message));
    }
    let channel = SignalChannel {
        id: SignalChannelId(0),
        project,
        name: name.to_owned(),
        created_at: Now::read().unix,
        version: new_version()?,
        message_ttl,
    };
    match state.store.insert_signal_channel(&channel, &tags).await {
        Ok(_) => {}
        Err(StoreError::Exists { .. }) => return Err(in_use()),
        Err(error) => return Err(error.into()),
    }
    let arn = ChannelArn::of(&channel, &state.settings.region, &state.settings.account);
    Ok(json!({"ChannelARN": arn.to_string()}))
}

async fn list<S: KvsStore>(call: &Call<'_, S>, fields: Fields<'_>) -> Result<Value, KvsError> {
    let limit = fields.integer("MaxResults", (1, 10_000))?.unwrap_or(RESULTS);
    let limit = usize::try_from(limit).unwrap_or(1);
    let token = fields.text("NextToken", (0, 1024), Form::Base64)?.filter(|token| !token.is_empty());
    let condition = fields.object("ChannelNameCondition")?;
    let mut prefix = "";
    if let Some(condition) = condition {
        condition.text("ComparisonOperator", (1, 64), Form::OneOf(&["BEGINS_WITH"]))?;
        prefix = condition.text("ComparisonValue", (1, 256), Form::Name)?.unwrap_or_default();
    }
    let bad_token = || KvsError::invalid("NextToken is not one of this list.");
    let decoded = token.map(|token| STANDARD.decode(token).map_err(|_| bad_token())).transpose()?;
    let mut after = decoded.map(|bytes| String::from_utf8(bytes).map_err(|_| bad_token())).transpose()?;
    let (state, project, action) = (call.state, call.key.project, call.operation.action());
    if !call.key.grant.preset.allows(action) {
        return Err(call.operation.denied());
    }
    if !state.rates.take(project, action, "", None, state.settings.profile.calls_per_project_per_sec) {
        return Err(KvsError::too_fast());
    }
    // A key restricted to some channels sees only those, so a page may take several reads.
    let mut found = Vec::new();
    let mut has_more = true;
    while found.len() <= limit && has_more {
        let batch = state.store.signal_channels(project, prefix, after.as_deref(), BATCH).await?;
        has_more = batch.len() >= BATCH as usize;
        after = batch.last().map(|channel| channel.name.clone()).or(after);
        found.extend(batch.into_iter().filter(|channel| call.key.grant.allows(action, &channel.name)));
    }
    let next = (found.len() > limit).then(|| found.get(limit - 1).map(|channel| STANDARD.encode(&channel.name)));
    found.truncate(limit);
    let channels: Vec<Value> = found.iter().map(|channel| info(call, channel)).collect();
    let mut body = json!({"ChannelInfoList": channels});
    if let (Some(Some(next)), Some(members)) = (next, body.as_object_mut()) {
        members.insert("NextToken".to_owned(), next.into());
    }
    Ok(body)
}

fn version_mismatch() -> KvsError {
    let message = "The stream version that you specified is not the latest version.";
    KvsError::new(StatusCode::BAD_REQUEST, "VersionMismatchException", message)
}

async fn update<S: KvsStore>(call: &Call<'_, S>, fields: Fields<'_>) -> Result<Value, KvsError> {
    let arn = fields.needed_arn("ChannelARN")?;
    let version = fields.needed("CurrentVersion", (1, 64), Form::Alphanumeric)?;
    let message_ttl = message_ttl(fields)?.ok_or_else(|| missing("SingleMasterConfiguration"))?;
    let channel = by_arn(call, &arn).await?;
    let new = new_version()?;
    match call.state.store.update_signal_channel(channel.id, version, &new, message_ttl).await? {
        ChannelChange::Stale => Err(version_mismatch()),
        ChannelChange::Done => {
            call.state.hub.message_ttl(channel.id, message_ttl).await;
            Ok(json!({}))
        }
    }
}

async fn delete<S: KvsStore>(call: &Call<'_, S>, fields: Fields<'_>) -> Result<Value, KvsError> {
    let arn = fields.needed_arn("ChannelARN")?;
    let version = fields.text("CurrentVersion", (1, 64), Form::Alphanumeric)?;
    let channel = by_arn(call, &arn).await?;
    match call.state.store.delete_signal_channel(channel.id, version).await? {
        ChannelChange::Stale => Err(version_mismatch()),
        ChannelChange::Done => {
            call.state.hub.channel_gone(channel.id).await;
            Ok(json!({}))
        }
    }
}

async fn endpoint<S: KvsStore>(call: &Call<'_, S>, fields: Fields<'_>) -> Result<Value, KvsError> {
    const PROTOCOLS: &[&str] = &["WSS", "HTTPS", "WEBRTC"];
    let arn = fields.needed_arn("ChannelARN")?;
    let mut protocols = vec!["WSS", "HTTPS"];
    if let Some(configuration) = fields.object("SingleMasterChannelEndpointConfiguration")? {
        configuration.text("Role", (1, 64), Form::OneOf(&["MASTER", "VIEWER"]))?;
        let asked = configuration.texts("Protocols", (1, 5), (1, 64), Form::OneOf(PROTOCOLS))?;
        protocols = asked.unwrap_or(protocols);
    }
    by_arn(call, &arn).await?;
    if protocols.contains(&"WEBRTC") {
        return Err(KvsError::invalid("Protocol WEBRTC needs media storage, which this channel has not."));
    }
    let endpoint = &call.state.settings.endpoint;
    let mut seen = BTreeSet::new();
    let list: Vec<Value> = protocols
        .into_iter()
        .filter(|protocol| seen.insert(*protocol))
        .map(|protocol| {
            let url = if protocol == "WSS" { &endpoint.wss } else { &endpoint.https };
            json!({"Protocol": protocol, "ResourceEndpoint": url})
        })
        .collect();
    Ok(json!({"ResourceEndpointList": list}))
}

async fn tag<S: KvsStore>(call: &Call<'_, S>, fields: Fields<'_>) -> Result<Value, KvsError> {
    let arn = fields.needed_arn("ResourceARN")?;
    let tags = fields.tags("Tags", 1)?.ok_or_else(|| missing("Tags"))?;
    let channel = by_arn(call, &arn).await?;
    let tags: BTreeMap<String, String> = tags.into_iter().collect();
    let is_done = call.state.store.tag_signal_channel(channel.id, &tags, TAGS_MAX).await?;
    if is_done { Ok(json!({})) } else { Err(too_many_tags()) }
}

async fn untag<S: KvsStore>(call: &Call<'_, S>, fields: Fields<'_>) -> Result<Value, KvsError> {
    let arn = fields.needed_arn("ResourceARN")?;
    let keys = fields.texts("TagKeyList", (1, TAGS_MAX), (1, 128), Form::Tag)?.ok_or_else(|| missing("TagKeyList"))?;
    let channel = by_arn(call, &arn).await?;
    let keys: Vec<String> = keys.into_iter().map(str::to_owned).collect();
    call.state.store.untag_signal_channel(channel.id, &keys).await?;
    Ok(json!({}))
}

async fn list_tags<S: KvsStore>(call: &Call<'_, S>, fields: Fields<'_>) -> Result<Value, KvsError> {
    let arn = fields.needed_arn("ResourceARN")?;
    // There are never more than one page: a token that was not given out is of another list.
    let token = fields.text("NextToken", (0, 1024), Form::Base64)?.filter(|token| !token.is_empty());
    if token.is_some() {
        return Err(KvsError::invalid("NextToken is not one of this list."));
    }
    let channel = by_arn(call, &arn).await?;
    let tags = call.state.store.signal_channel_tags(channel.id).await?;
    Ok(json!({"Tags": tags}))
}

async fn update_storage<S: KvsStore>(call: &Call<'_, S>, fields: Fields<'_>) -> Result<Value, KvsError> {
    let arn = fields.needed_arn("ChannelARN")?;
    let wanted = fields.object("MediaStorageConfiguration")?.ok_or_else(|| missing("MediaStorageConfiguration"))?;
    let status = wanted.needed("Status", (1, 64), Form::OneOf(&["ENABLED", "DISABLED"]))?;
    by_arn(call, &arn).await?;
    if status == "ENABLED" {
        return Err(KvsError::invalid("Media storage is not supported by this server."));
    }
    Ok(json!({}))
}

async fn join_storage<S: KvsStore>(call: &Call<'_, S>, fields: Fields<'_>) -> Result<Value, KvsError> {
    let arn = fields.needed_arn("channelArn")?;
    by_arn(call, &arn).await?;
    Err(KvsError::invalid("Media storage is not enabled for this channel."))
}
