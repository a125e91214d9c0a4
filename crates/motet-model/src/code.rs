//! The codes of everything that can be wrong with a definition: one meaning each, one page each under `docs/errors/`.
//!
//! 1xx are errors: the system cannot be run as it is described. 2xx are lints: it can be run, and something about its
//! architecture will hurt later. A lint can be silenced with a reason, an error cannot.

use motet_kernel::code::ErrorCode;

macro_rules! codes {
    ($($name:ident = $code:literal, $title:literal;)*) => {
        $(#[doc = $title] pub const $name: ErrorCode = ErrorCode($code);)*
        /// Every code with its title, in order.
        pub const ALL: &[(ErrorCode, &str)] = &[$(($name, $title)),*];
    };
}

codes! {
    NOT_YAML = "MO-model-101", "The file is not YAML";
    NO_DEFINITION = "MO-model-102", "There is no definition";
    UNKNOWN_KEY = "MO-model-103", "A key that Motet does not know";
    WRONG_TYPE = "MO-model-104", "A value of the wrong type";
    MISSING_KEY = "MO-model-105", "A required key is missing";
    UNKNOWN_SERVICE = "MO-model-106", "A service that is not defined";
    UNKNOWN_PROFILE = "MO-model-107", "A profile that is not defined";
    INVALID_NAME = "MO-model-108", "A name that breaks the rule for names";
    INVALID_DURATION = "MO-model-109", "Not a duration";
    OUT_OF_RANGE = "MO-model-110", "A number outside its range";
    INVALID_URL = "MO-model-111", "Not a URL that can be used here";
    INVALID_PATTERN = "MO-model-112", "A pattern that cannot be read";
    INVALID_CHOICE = "MO-model-113", "Not one of the choices";
    INVALID_ADDRESS = "MO-model-114", "Not an address to listen on";
    MISSING_PATH = "MO-model-115", "A file or folder that does not exist";
    DUPLICATE_KEY = "MO-model-116", "The same key twice";
    TWO_OF_ONE = "MO-model-117", "Two keys of which only one may stand";
    NO_RUN = "MO-model-118", "Nothing says how the service runs";
    DUPLICATE_PORT = "MO-model-119", "One port wanted twice";
    TWO_CONTEXTS = "MO-model-120", "A service in two contexts";
    START_CYCLE = "MO-model-121", "Services that wait for each other to start";
    SELF_USE = "MO-model-122", "A service that uses itself";
    CALLS_ONCE = "MO-model-123", "A call to a service that runs to completion";
    INVALID_PATH = "MO-model-124", "Not a path of a URL";
    NO_STORE_SERVER = "MO-model-125", "A PostgreSQL store without a server";
    UNDEFINED_VARIABLE = "MO-model-126", "A variable that is not set";
    INVALID_VARIABLE = "MO-model-127", "A `${…}` that cannot be read";
    INCLUDE_CYCLE = "MO-model-128", "Files that include each other";
    UNSUPPORTED_VERSION = "MO-model-129", "A version of the language that this Motet does not know";
    EMPTY_DEFINITION = "MO-model-130", "The definition is empty";
    TOO_LARGE = "MO-model-131", "More than a definition may hold";
    NOT_TEXT = "MO-model-132", "The file is not UTF-8 text";
    INVALID_DOTENV = "MO-model-133", "A line of `.env` that cannot be read";
    EMPTY_VALUE = "MO-model-134", "A value that must not be empty";
    INVALID_ENV_NAME = "MO-model-135", "Not a name for an environment variable";
    LONGER_THAN_WHOLE = "MO-model-141", "A time longer than the one around it";
    INVALID_FALLBACK = "MO-model-142", "A fallback that cannot stand in";
    NOBODY_KNOWN = "MO-model-150", "A route that asks for what nobody has";
    WEAK_KEY = "MO-model-151", "An API key that can be guessed";
    OPEN_COOKIES = "MO-model-152", "Cookies for pages of every origin";
    UNKNOWN_TOPIC = "MO-model-153", "A topic that is not defined";
    INVALID_POINTER = "MO-model-154", "Not a JSON pointer";
    INVALID_SCHEMA = "MO-model-155", "A schema that cannot be used";
    NO_DELIVERY = "MO-model-156", "Nothing says how events are delivered";
    UNDELIVERABLE = "MO-model-157", "A subscription that cannot be delivered";
    INVALID_OUTBOX = "MO-model-158", "An outbox that cannot be published";
    INVALID_FILTER = "MO-model-159", "A filter that cannot be read";
    SHARED_STORE = "MO-model-201", "Two services share a store";
    CALL_CYCLE = "MO-model-202", "Services that call each other in a circle";
    NO_CONTRACT = "MO-model-203", "A call to a service without a contract";
    UNSAFE_RETRY = "MO-model-204", "A repetition that may do something twice";
    TIMEOUT_INVERSION = "MO-model-205", "A timeout longer than the caller's own";
    UNREACHED = "MO-model-206", "A service that nobody reaches";
    UNPUBLISHED = "MO-model-207", "A reach into another context";
    OPEN_GATEWAY = "MO-model-208", "A gateway that others can reach";
    RETRY_STORM = "MO-model-209", "Repetitions that multiply";
    UNUSED_ALLOW = "MO-model-210", "An `allow` that silences nothing";
    NO_EFFECT = "MO-model-211", "A key that has no effect here";
    OVERRIDDEN = "MO-model-212", "A variable that Motet sets itself";
    UNDECLARED = "MO-model-213", "A call that goes around the edges";
    NOBODY_PUBLISHES = "MO-model-214", "A topic that nobody publishes";
    NOBODY_SUBSCRIBES = "MO-model-215", "A topic that nobody subscribes to";
    OUTLIVED = "MO-model-216", "Deliveries that outlive what the topic keeps";
    NO_SCHEMA = "MO-model-217", "A topic without a schema";
    NOT_KEPT = "MO-model-218", "Something that the engine of events cannot keep";
    VIEW_WITHOUT_KEY = "MO-model-220", "A view of a topic without a key";
}

/// Whether a code is that of a lint.
pub fn is_lint(code: &str) -> bool {
    code.starts_with("MO-model-2")
}
