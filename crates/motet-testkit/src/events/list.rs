//! The names of all cases, once. A macro hands them to whoever makes something of them: the table [`super::CASES`], and in each engine's
//! test crate one `#[test]` per case, so that a failure says its rule and cases run side by side.

/// Hands the list to the macro `$then`: in groups, each with its server, its module, and what the engine has to keep for it. This is the
/// only place where cases are named.
#[doc(hidden)]
#[macro_export]
macro_rules! with_event_cases {
    ($then:ident $($with:tt)*) => {
        $crate::$then! {
            $($with)*;
            Shared appending [] {
                positions_rise_and_never_come_twice,
                the_head_wakes_whoever_waits_for_more,
                an_append_of_many_stands_together_and_in_order,
                thousands_of_events_stand_in_the_order_of_their_appends,
                of_many_who_append_at_once_each_one_is_in_order_and_nothing_is_lost,
                an_append_of_nothing_is_nothing,
                whoever_goes_away_in_the_middle_of_an_append_harms_nobody,
                the_note_of_an_append_is_written_when_it_answers,
                topics_do_not_mix_even_if_their_names_are_alike,
                a_topic_that_was_never_ensured_is_refused,
                ensuring_again_changes_nothing_that_is_there,
                many_who_ensure_the_same_topic_at_once_get_one,
            }
            Shared content [] {
                what_was_appended_is_read_with_everything_it_had,
                every_kind_of_extension_keeps_its_text,
                what_headers_cannot_hold_comes_through_all_the_same,
                texts_of_all_scripts_come_through,
                many_and_long_extensions_come_through,
                no_data_and_empty_data_are_not_the_same,
                every_byte_comes_through,
                an_event_as_large_as_its_topic_takes_comes_through,
                many_large_events_come_through_in_one_append,
                a_key_that_stands_in_the_data_comes_back_with_the_event,
            }
            Shared reading [] {
                a_read_stops_at_its_limit_of_events,
                a_read_stops_at_its_limit_of_bytes,
                a_read_from_anywhere_gives_what_stands_there_and_behind,
                a_read_behind_the_end_is_empty_and_does_not_wait,
                a_topic_without_events_ends_where_it_begins,
                the_ends_hold_everything_that_was_appended,
                whoever_reads_while_others_append_misses_nothing,
                many_may_read_at_once,
            }
            Shared keeping [ReplayByTime] {
                a_time_leads_to_the_first_event_of_then_or_later,
                a_time_before_everything_leads_to_the_beginning_and_one_after_it_to_the_end,
            }
            Shared keeping [] {
                what_is_to_be_kept_is_never_given_back,
            }
            Shared keeping [ReplayByPosition] {
                what_one_subscription_has_settled_can_be_read_by_others,
            }
            Shared keeping [RetentionByTime] {
                what_is_too_old_is_given_back_and_what_is_younger_stays,
                a_topic_that_gave_everything_back_goes_on_with_higher_positions,
            }
            Shared keeping [RetentionBySize] {
                the_oldest_is_given_back_when_there_are_too_many_bytes,
            }
            Shared publishing [] {
                events_get_rising_positions_and_reach_a_subscriber_in_order,
                an_undeclared_topic_is_refused_and_the_error_says_which_there_are,
                an_event_larger_than_its_topic_takes_is_refused_and_nothing_of_the_request_is_published,
                a_second_event_with_the_same_source_and_id_is_a_duplicate_within_the_window_only,
                without_a_window_nothing_is_a_duplicate,
                the_window_survives_a_restart_pages_and_tail_alike,
                of_many_who_publish_the_same_event_at_once_one_is_first_and_all_are_durable,
                a_publisher_that_goes_away_leaves_nothing_undecided,
                a_delayed_event_is_delivered_when_it_is_due_and_not_before,
                a_delayed_event_survives_a_restart_and_is_published_once,
                a_wish_for_a_time_that_is_none_is_refused_with_what_it_should_be,
                a_topic_can_be_followed_without_a_subscription,
            }
            Shared large [] {
                large_data_comes_through_a_delay_a_dead_letter_a_redrive_and_a_restart,
            }
            Shared delivery [] {
                every_subscription_sees_every_event,
                what_is_delivered_is_what_was_published,
                no_more_than_in_flight_are_sent_at_once_and_all_of_them_are,
                of_one_key_never_two_are_in_flight,
                thousands_of_events_reach_a_subscriber_that_often_fails_in_the_order_of_their_keys,
                a_filter_settles_what_it_does_not_take,
                a_batch_is_sent_when_it_is_full_or_when_its_first_event_has_waited,
                each_item_of_a_batch_has_its_own_outcome_and_a_missing_one_is_a_failure,
                a_batch_holds_one_event_per_key,
                a_batch_that_is_large_enough_does_not_wait_and_one_event_may_be_larger_than_a_batch,
                without_order_events_of_a_key_do_not_wait_for_each_other,
                an_event_that_was_accepted_is_acknowledged_later_by_its_token_and_only_once,
                an_accepted_event_whose_lease_ends_is_delivered_again,
                a_new_subscription_begins_with_the_oldest_or_with_the_next_event,
            }
            Shared delivery [ReplayByPosition] {
                a_new_subscription_begins_at_the_position_it_is_declared_to,
            }
            Shared delivery [ReplayByTime] {
                a_new_subscription_begins_at_the_time_it_is_declared_to,
            }
            Shared delivery [RetentionByTime] {
                what_retention_takes_before_it_was_read_is_counted_as_missed,
            }
            Shared failing [] {
                a_failing_key_is_retried_in_order_and_delays_no_other_key,
                after_the_last_attempt_an_event_is_a_dead_letter_with_its_story_and_its_key_goes_on,
                a_permanent_failure_is_a_dead_letter_at_once,
                retry_after_is_obeyed,
                an_event_that_becomes_too_old_is_a_dead_letter_whatever_attempts_are_left,
                a_subscriber_that_hangs_is_given_up_after_the_timeout_and_tried_again,
                a_panic_in_the_delivery_is_a_failure_like_any_other,
                dead_letters_are_listed_in_pages_redriven_dropped_and_redriven_edited,
                however_many_dead_letters_are_named_each_is_redriven_once,
                a_redriven_event_that_fails_again_is_a_dead_letter_again_and_keeps_its_key,
                retries_dead_letters_redriven_events_and_the_position_survive_a_restart,
            }
            Shared pulling [] {
                workers_share_what_they_fetch_and_get_nothing_twice_while_they_hold_it,
                who_waits_for_events_gets_the_first_one_and_nothing_when_the_wait_is_over,
                a_lease_that_is_over_or_refused_gives_the_event_to_the_next_worker,
                a_lease_that_is_extended_holds_and_its_key_waits,
                a_worker_gets_the_next_event_of_a_key_only_after_the_one_before,
                a_pushed_subscription_cannot_be_fetched_from_and_an_unknown_one_is_named,
            }
            Shared operating [] {
                a_paused_subscription_stays_so_across_a_restart_until_it_is_resumed,
                a_replay_forward_skips_what_is_retried_and_what_waits_behind_it,
                a_subscription_that_is_not_declared_any_more_is_let_go_and_goes_on_where_it_was,
                a_stop_lets_what_is_under_way_end_and_delivers_nothing_twice,
                the_description_says_what_there_is,
            }
            Shared operating [ReplayByPosition] {
                a_replay_delivers_again_from_where_it_is_told,
            }
            Shared operating [ReplayByTime] {
                a_replay_from_a_time_delivers_what_was_published_since,
            }
            Shared foreign [OtherPublishers] {
                an_event_of_another_program_is_delivered_as_it_is,
                bytes_without_any_header_become_an_event_and_block_nothing,
            }
            Shared survival [] {
                everything_is_there_after_opening_again,
            }
            Proxied survival [] {
                calls_to_an_engine_that_is_cut_off_fail_in_time_and_succeed_when_it_is_back,
                subscriptions_and_delayed_events_go_on_by_themselves_when_the_engine_is_back,
                connections_that_break_under_load_lose_and_reorder_nothing,
            }
            Own survival [] {
                what_was_acknowledged_outlives_the_engine,
                an_engine_that_dies_under_load_loses_and_reorders_nothing,
            }
        }
    };
}

/// The table of all cases, for [`super::CASES`].
#[doc(hidden)]
#[macro_export]
macro_rules! event_case_list {
    (; $($server:ident $module:ident $needs:tt { $($case:ident),+ $(,)? })+) => {
        /// All rules.
        pub const CASES: &[Case] = &[$($(
            Case {
                name: stringify!($case),
                server: Server::$server,
                needs: &$needs,
                run: |bench| Box::pin($module::$case(bench)),
            },
        )+)+];
    };
}

/// Makes a test of each case: `event_conformance!(engine)`, where `engine` is `async fn(Server) -> Option<Arc<dyn Engine>>`. It is asked
/// once per case, on that case's runtime; with [`Server::Shared`](crate::events::Server) it may give the same server to all.
#[macro_export]
macro_rules! event_conformance {
    ($engine:path) => {
        $crate::with_event_cases! { event_conformance_tests $engine }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! event_conformance_tests {
    ($engine:path; $($server:ident $module:ident $needs:tt { $($case:ident),+ $(,)? })+) => {
        $($(
            #[test]
            fn $case() {
                $crate::events::run(stringify!($case), $engine);
            }
        )+)+
    };
}
