//! The names of all cases, once. A macro hands them to whoever makes something of them: the table [`super::CASES`], and in each engine's
//! test crate one `#[test]` per case, so that a failure says its rule and cases run side by side.

/// Hands the list to the macro `$then`. This is the only place where cases are named.
#[doc(hidden)]
#[macro_export]
macro_rules! with_event_cases {
    ($then:ident $($with:tt)*) => {
        $crate::$then! {
            $($with)*;
            Shared appending {
                what_was_appended_is_read_in_order_with_everything_it_had,
                positions_rise_and_never_come_twice,
                the_head_wakes_whoever_waits_for_more,
                a_read_stops_at_its_limit_of_events,
                a_read_stops_at_its_limit_of_bytes,
                a_topic_that_was_never_ensured_is_refused,
            }
            Shared delivery {
                every_subscription_sees_every_event,
                a_failing_key_is_retried_in_order_and_delays_no_other_key,
            }
            Shared survival {
                everything_is_there_after_opening_again,
            }
            Own survival {
                what_was_acknowledged_outlives_the_engine,
                connections_that_break_under_load_lose_and_reorder_nothing,
            }
        }
    };
}

/// The table of all cases, for [`super::CASES`].
#[doc(hidden)]
#[macro_export]
macro_rules! event_case_list {
    (; $($server:ident $module:ident { $($case:ident),+ $(,)? })+) => {
        /// All rules.
        pub const CASES: &[Case] = &[$($(
            Case { name: stringify!($case), server: Server::$server, run: |bench| Box::pin($module::$case(bench)) },
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
    ($engine:path; $($server:ident $module:ident { $($case:ident),+ $(,)? })+) => {
        $($(
            #[test]
            fn $case() {
                $crate::events::run(stringify!($case), $engine);
            }
        )+)+
    };
}
