//! The `MESSAGE_ID` of each event: what the journal finds entries and their explanations by.

/// Each event with its 128-bit id, in lower-case hexadecimal. An id is random, made with `journalctl --new-id128` when its
/// event is, and never changes: the journal's catalog in `systemd/` and what people match are bound to it.
pub const MESSAGE_IDS: [(&str, &str); 26] = [
    ("daemon.started", "697e9705ee75446085fc55c6df685fe0"),
    ("daemon.ready", "118da71a64a54f06ac2e404ed489f50b"),
    ("daemon.failed", "f437e97ee6b44645b781ae6afcb06612"),
    ("daemon.stopping", "a92ad16bbce942acb07cab66616f9b0f"),
    ("daemon.stopped", "047975939dc64af29d88e658631c4d3a"),
    ("config.reloaded", "ee01313a533845ffb83490eb3d77bbe0"),
    ("config.rejected", "595095694df04ea2bbe8b2e0daaee413"),
    ("poll.completed", "2ef2a70c8c604bee91907a662d5d6867"),
    ("poll.failed", "7217ac15820e4690b7e47c295c21bc32"),
    ("poll.suspect", "79b039a695c34e1db2d52b68cbff5378"),
    ("api.throttled", "2aa7c9a0d4c54624bde0ebfbebb19ef1"),
    ("credentials.rejected", "ed5864ef5dd64b08980d8427cc957ae0"),
    ("credentials.refreshed", "7e142829c2444aabb79edf52c7195fab"),
    ("credentials.refresh_failed", "54bc9261604946be8c82bcb9eaf983a4"),
    ("row.rejected", "1aae195109c14d149a6678af41479565"),
    ("task.transition", "4119ab57c87d4ee783d886560bbf4b5b"),
    ("link.refreshed", "7de2499a4c664de3963801d153670f2b"),
    ("download.stored", "4d169e67431940bea0c17adb2129e99a"),
    ("download.retrying", "b075358f30714e6b9ea6b6bf3e7e94e5"),
    ("download.abandoned", "cd332aae1cda48838604ea3d99c1aefe"),
    ("window.archived", "47c818e8aadb4e468c0dac2a0dfa8ddc"),
    ("window.overdue", "3e6ad250982148c78e59050d334b64a9"),
    ("window.beyond_reach", "a4d92224e92e4d8082540c5952fdf72d"),
    ("storage.low", "5a61f414d682482e9fbb70dc0d0af2a7"),
    ("storage.recovered", "500d01cc405f4574a0e38a7f796eb778"),
    ("store.failed", "31cc97dee8704f57adde154a9ae8ba78"),
];

/// The id of an event; none for a name that is none of ours.
#[must_use]
pub fn message_id(event: &str) -> Option<&'static str> {
    MESSAGE_IDS.iter().find(|(name, _)| *name == event).map(|(_, id)| *id)
}
