//! Why a URL or a header is refused.

/// A refusal: the caller's mistake, or a caller's try. Its text says what to do instead and never repeats what was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// More than 2,048 bytes.
    #[error("the URL is too long: use one of at most 2048 characters")]
    TooLong,
    /// A control character, a backslash, or a line break written as `%0d` or `%0a`.
    #[error("the URL has control characters, line breaks or backslashes: leave them out")]
    Characters,
    /// Not a URL with a host.
    #[error("the URL cannot be read: write it as https://host/path")]
    Malformed,
    /// Neither `https` nor `http`.
    #[error("the URL has another scheme than https: use an https:// URL")]
    Scheme,
    /// `http`, where the deployment allows `https` alone.
    #[error("plain http is not allowed here: use an https:// URL")]
    PlainHttp,
    /// A user name or a password in front of the host.
    #[error("the URL carries credentials: use one without a user name and password")]
    Credentials,
    /// A port that is not on the deployment's list.
    #[error("the URL's port is not allowed here: use the standard port of https")]
    Port,
    /// A name that means something only inside a network: `localhost`, one label, `*.internal`, a metadata service, ...
    #[error("the URL's host is an internal name: use a host that is reachable from the public internet")]
    InternalName,
    /// An address that is not a public one, written in the URL or answered for its name.
    #[error("the URL's host is not a public address: use a host that is reachable from the public internet")]
    Address,
    /// An address of this deployment itself.
    #[error("the URL leads back to this service: use the address of another one")]
    OwnHost,
    /// A header that the HTTP client sets itself.
    #[error("Host, Content-Length, Transfer-Encoding, Connection and their like are set by the service: leave them out")]
    ReservedHeader,
    /// A header name or value with characters that do not belong there.
    #[error("a header has characters that are not allowed: use visible ASCII characters and spaces")]
    HeaderCharacters,
    /// More, or longer, headers than are sent.
    #[error("there are too many headers, or they are too long: send at most 32 with 8192 bytes in all")]
    HeaderSize,
}

impl Refused {
    /// The stable code for a problem document: `url_not_allowed` or `header_not_allowed`.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::TooLong
            | Self::Characters
            | Self::Malformed
            | Self::Scheme
            | Self::PlainHttp
            | Self::Credentials
            | Self::Port
            | Self::InternalName
            | Self::Address
            | Self::OwnHost => "url_not_allowed",
            Self::ReservedHeader | Self::HeaderCharacters | Self::HeaderSize => "header_not_allowed",
        }
    }
}
