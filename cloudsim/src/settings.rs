//! What the documentation leaves open, as settings: each can be turned while the servers run.

use std::{sync::Mutex, time::Duration};

use crate::{lock, task::LinkStyle};

/// The order of a listing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// As the tasks were added.
    AsAdded,
    /// The latest creation first.
    NewestFirst,
    /// Another order at every call; the seed makes the series of orders repeatable.
    Shuffled(u64),
}

/// What happens to a page size above the maximum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Oversize {
    /// An error.
    Error,
    /// The maximum is served and echoed.
    Clamp,
}

/// What happens to a page number beyond the last page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PastEnd {
    /// An empty page.
    Empty,
    /// An error.
    Error,
    /// The last page again, with the number that was asked for.
    LastPage,
}

/// How a listing without rows looks in JSON. In XML the variants that have no counterpart are an empty `Data`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EmptyShape {
    /// `"Data": {"DataItem": []}`
    EmptyArray,
    /// `"Data": {}`
    EmptyData,
    /// `"Data": null`
    NullData,
    /// No `Data`.
    MissingData,
    /// `"Data": []`
    ArrayData,
    /// `"Data": ""`
    EmptyString,
    /// No `UsageDataPerPage`; `TotalCount` at the top.
    MissingPage,
}

/// How a listing with rows looks in JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// `UsageDataPerPage.Data.DataItem[]`, counters beside `Data`.
    Current,
    /// `UsageDataPerPage.Data[]`.
    FlatData,
    /// As `Current`, but a single row stands there without an array.
    LoneObject,
    /// As in 2018: counters at the top, rows in `UsageDataPerPage.UsageData[]`.
    Historic,
}

/// How the id looks in JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IdType {
    /// Text.
    String,
    /// A number, if it is one.
    Number,
}

/// How a field looks that has no value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    /// It is not there.
    Absent,
    /// `null`; in XML an empty element.
    Null,
    /// An empty text.
    Empty,
}

/// Everything that can be set.
#[derive(Debug, Clone)]
pub struct Knobs {
    /// The order of listings.
    pub order: Order,
    /// The largest page size.
    pub max_page_size: u64,
    /// What happens above it.
    pub oversize: Oversize,
    /// What happens beyond the last page.
    pub past_end: PastEnd,
    /// How an empty listing looks.
    pub empty_shape: EmptyShape,
    /// How a listing looks.
    pub layout: Layout,
    /// Whether counters are texts in JSON.
    pub counters_as_strings: bool,
    /// How ids look in JSON.
    pub id_type: IdType,
    /// Whether `UpdateTime` stands twice in a row, an older one first.
    pub duplicate_update_time: bool,
    /// Whether rows also have a `ModifyTime`, older than the update time.
    pub modify_time: bool,
    /// Whether the status begins with a capital.
    pub capital_status: bool,
    /// How a missing name looks.
    pub missing_name: Missing,
    /// How the link of a task without success looks; `None` shows the link at once.
    pub unfinished_link: Option<Missing>,
    /// Whether `&` and `=` are written as `\u0026` and `\u003d` in JSON.
    pub escape_html: bool,
    /// How links are made.
    pub link_style: LinkStyle,
    /// How long a link is good; V4 knows no more than seven days.
    pub link_lifetime: Duration,
    /// Links of one such span are the same; zero signs anew for every listing.
    pub link_renewal: Duration,
    /// How long the temporary keys of token links are good, counted as the link's own life.
    pub link_token_lifetime: Option<Duration>,
    /// What stands before the path of a link instead of the store's own `http://127.0.0.1:PORT`.
    pub link_base: Option<String>,
    /// Tasks older than this are not listed.
    pub listing_horizon: Option<Duration>,
    /// Every n-th call is throttled.
    pub throttle_every: Option<u32>,
    /// More calls in one second than this are throttled, per account. The documentation says 100.
    pub quota_per_second: Option<usize>,
    /// Real time before every answer of the gateway.
    pub latency: Duration,
    /// Real time before every answer of the object store.
    pub oss_latency: Duration,
    /// The schedule of tasks made by a Create operation.
    pub create_schedule: Vec<(Duration, String)>,
    /// Whether the gateway resets connections as they come.
    pub gateway_down: bool,
    /// Whether the object store resets connections as they come.
    pub oss_down: bool,
}

impl Default for Knobs {
    /// As the current documentation and SDKs have it; where they are silent, the plainest.
    fn default() -> Self {
        Self {
            order: Order::AsAdded,
            max_page_size: 50,
            oversize: Oversize::Error,
            past_end: PastEnd::Empty,
            empty_shape: EmptyShape::EmptyArray,
            layout: Layout::Current,
            counters_as_strings: false,
            id_type: IdType::String,
            duplicate_update_time: false,
            modify_time: false,
            capital_status: false,
            missing_name: Missing::Absent,
            unfinished_link: Some(Missing::Absent),
            escape_html: false,
            link_style: LinkStyle::V1,
            link_lifetime: Duration::from_secs(3600),
            link_renewal: Duration::ZERO,
            link_token_lifetime: None,
            link_base: None,
            listing_horizon: None,
            throttle_every: None,
            quota_per_second: None,
            latency: Duration::ZERO,
            oss_latency: Duration::ZERO,
            create_schedule: vec![
                (Duration::ZERO, "created".to_owned()),
                (Duration::from_secs(120), "success".to_owned()),
            ],
            gateway_down: false,
            oss_down: false,
        }
    }
}

/// The settings of a running cloud.
#[derive(Debug, Default)]
pub struct Settings(Mutex<Knobs>);

macro_rules! setters {
    ($($setter:ident $field:ident $type:ty;)*) => {
        impl Settings {
            $(
                #[doc = concat!("Sets [`Knobs::", stringify!($field), "`].")]
                pub fn $setter(&self, value: $type) {
                    lock(&self.0).$field = value;
                }
            )*
        }
    };
}

setters! {
    set_order order Order;
    set_max_page_size max_page_size u64;
    set_oversize oversize Oversize;
    set_past_end past_end PastEnd;
    set_empty_shape empty_shape EmptyShape;
    set_layout layout Layout;
    set_counters_as_strings counters_as_strings bool;
    set_id_type id_type IdType;
    set_duplicate_update_time duplicate_update_time bool;
    set_modify_time modify_time bool;
    set_capital_status capital_status bool;
    set_missing_name missing_name Missing;
    set_unfinished_link unfinished_link Option<Missing>;
    set_escape_html escape_html bool;
    set_link_style link_style LinkStyle;
    set_link_lifetime link_lifetime Duration;
    set_link_renewal link_renewal Duration;
    set_link_token_lifetime link_token_lifetime Option<Duration>;
    set_link_base link_base Option<String>;
    set_listing_horizon listing_horizon Option<Duration>;
    set_throttle_every throttle_every Option<u32>;
    set_quota_per_second quota_per_second Option<usize>;
    set_latency latency Duration;
    set_oss_latency oss_latency Duration;
    set_create_schedule create_schedule Vec<(Duration, String)>;
    set_gateway_down gateway_down bool;
    set_oss_down oss_down bool;
}

impl Settings {
    /// A copy of them all.
    #[must_use]
    pub fn get(&self) -> Knobs {
        lock(&self.0).clone()
    }

    /// Changes several at once.
    pub fn update(&self, change: impl FnOnce(&mut Knobs)) {
        change(&mut lock(&self.0));
    }

    /// Everything odd that has been seen in samples, all at once, and still a listing with all its facts.
    pub fn set_every_quirk(&self) {
        self.update(|knobs| {
            knobs.counters_as_strings = true;
            knobs.id_type = IdType::Number;
            knobs.duplicate_update_time = true;
            knobs.modify_time = true;
            knobs.capital_status = true;
            knobs.missing_name = Missing::Null;
            knobs.unfinished_link = Some(Missing::Empty);
            knobs.escape_html = true;
            knobs.layout = Layout::LoneObject;
            knobs.empty_shape = EmptyShape::NullData;
        });
    }
}
