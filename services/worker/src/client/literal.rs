//! Texts of people in requests to WhatsApp.
//!
//! The library writes a text of up to 48 bytes that has an `@` as an address: `info@shop` becomes the user `info` at the server
//! `shop`, which whoever reads it refuses, and the connection with it. What stands between tags can be written as bytes, which
//! nothing reads anything into, and is what other clients send; an attribute cannot. (wacore-binary 0.7:
//! `classify_string_hint`, `read_jid_pair`.)

use wacore::{iq::spec::IqSpec, request::InfoQuery};
use wacore_binary::{Node, NodeContent, NodeRef};

/// Up to here a text is looked through for an address, bytes.
const ADDRESS: usize = 48;

/// Whether the library would write this text as an address.
pub(crate) fn reads_as_address(text: &str) -> bool {
    text.len() <= ADDRESS && text.contains('@')
}

/// A request whose texts between tags are sent as they are.
pub(crate) struct Literal<S>(pub(crate) S);

impl<S: IqSpec> IqSpec for Literal<S> {
    type Response = S::Response;

    fn build_iq(&self) -> InfoQuery<'static> {
        let mut query = self.0.build_iq();
        query.content = query.content.map(literal);
        query
    }

    fn parse_response(&self, response: &NodeRef<'_>) -> Result<Self::Response, anyhow::Error> {
        self.0.parse_response(response)
    }
}

fn literal(content: NodeContent) -> NodeContent {
    match content {
        NodeContent::String(text) => NodeContent::Bytes(text.as_bytes().to_vec()),
        NodeContent::Nodes(nodes) => NodeContent::Nodes(nodes.into_iter().map(with_literal_content).collect()),
        bytes @ NodeContent::Bytes(_) => bytes,
    }
}

fn with_literal_content(mut node: Node) -> Node {
    node.content = node.content.map(literal);
    node
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use wacore::iq::groups::{GroupDescription, SetGroupDescriptionIq};
    use wacore_binary::{Jid, builder::NodeBuilder, marshal};

    /// What the other end reads of a description.
    fn read(query: InfoQuery<'static>) -> Option<String> {
        let Some(NodeContent::Nodes(nodes)) = query.content else { return None };
        let written = marshal::marshal_exact(&NodeBuilder::new("iq").children(nodes).build()).unwrap();
        let node = marshal::unmarshal_ref(written.get(1..)?).ok()?;
        let body = node.get_optional_child("description")?.get_optional_child("body")?.content_as_string()?;
        Some(body.to_string())
    }

    #[test]
    fn a_text_with_an_at_arrives_as_it_was_written() {
        let group: Jid = "120363000000000001@g.us".parse().unwrap();
        for text in ["info@shop", "a_5@b", "@", "1234@s.whatsapp.net", "receipt", "0123-45", "Halo @budi, apa kabar?"] {
            let spec = SetGroupDescriptionIq::new(&group, Some(GroupDescription::new(text).unwrap()), None);
            assert_eq!(read(Literal(spec).build_iq()).as_deref(), Some(text), "{text}");
        }
        // Once this fails, the library writes texts as they are and this file can go.
        let spec = SetGroupDescriptionIq::new(&group, Some(GroupDescription::new("info@shop").unwrap()), None);
        assert_eq!(read(spec.build_iq()), None);
        assert!(reads_as_address("info@shop") && !reads_as_address("info") && !reads_as_address(&"@".repeat(49)));
    }
}
