//! Reads what was sent as it is described: an object is an object, a name is a name.
//!
//! serde itself is generous: it reads a struct from an array of its fields, and a name from an object of one member. An array
//! of nulls was a whole set of limits so. What it buffers before it reads it (a flattened, untagged or internally tagged
//! type) is out of reach here: no body has any. An enum is its variant's name alone.

use serde::de::{DeserializeSeed, Deserializer, EnumAccess, Error, IntoDeserializer as _, MapAccess, SeqAccess, Visitor};
use std::fmt;

/// Any part of reading a value, and all that comes of it: the reader, what it is visited by, and the members inside.
pub(super) struct Strict<T>(pub(super) T);

/// Visits the name of an enum's variant.
struct Name<V>(V);

/// What is read as it always is.
macro_rules! reads {
    ($($method:ident($($argument:ident: $kind:ty),*);)*) => {$(
        fn $method<V: Visitor<'de>>(self, $($argument: $kind,)* visitor: V) -> Result<V::Value, D::Error> {
            self.0.$method($($argument,)* Strict(visitor))
        }
    )*};
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Strict<D> {
    type Error = D::Error;

    reads! {
        deserialize_any();
        deserialize_bool();
        deserialize_i8();
        deserialize_i16();
        deserialize_i32();
        deserialize_i64();
        deserialize_i128();
        deserialize_u8();
        deserialize_u16();
        deserialize_u32();
        deserialize_u64();
        deserialize_u128();
        deserialize_f32();
        deserialize_f64();
        deserialize_char();
        deserialize_str();
        deserialize_string();
        deserialize_bytes();
        deserialize_byte_buf();
        deserialize_option();
        deserialize_unit();
        deserialize_unit_struct(name: &'static str);
        deserialize_newtype_struct(name: &'static str);
        deserialize_seq();
        deserialize_tuple(len: usize);
        deserialize_tuple_struct(name: &'static str, len: usize);
        deserialize_map();
        deserialize_identifier();
        deserialize_ignored_any();
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.0.deserialize_map(Strict(visitor))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.0.deserialize_str(Name(visitor))
    }

    fn is_human_readable(&self) -> bool {
        self.0.is_human_readable()
    }
}

/// What holds nothing else.
macro_rules! visits {
    ($($method:ident($($argument:ident: $kind:ty)?);)*) => {$(
        fn $method<E: Error>(self, $($argument: $kind)?) -> Result<V::Value, E> {
            self.0.$method($($argument)?)
        }
    )*};
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Strict<V> {
    type Value = V::Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.expecting(formatter)
    }

    visits! {
        visit_bool(value: bool);
        visit_i8(value: i8);
        visit_i16(value: i16);
        visit_i32(value: i32);
        visit_i64(value: i64);
        visit_i128(value: i128);
        visit_u8(value: u8);
        visit_u16(value: u16);
        visit_u32(value: u32);
        visit_u64(value: u64);
        visit_u128(value: u128);
        visit_f32(value: f32);
        visit_f64(value: f64);
        visit_char(value: char);
        visit_str(value: &str);
        visit_borrowed_str(value: &'de str);
        visit_string(value: String);
        visit_bytes(value: &[u8]);
        visit_borrowed_bytes(value: &'de [u8]);
        visit_byte_buf(value: Vec<u8>);
        visit_none();
        visit_unit();
    }

    fn visit_some<D: Deserializer<'de>>(self, reader: D) -> Result<V::Value, D::Error> {
        self.0.visit_some(Strict(reader))
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, reader: D) -> Result<V::Value, D::Error> {
        self.0.visit_newtype_struct(Strict(reader))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<V::Value, A::Error> {
        self.0.visit_seq(Strict(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<V::Value, A::Error> {
        self.0.visit_map(Strict(members))
    }

    fn visit_enum<A: EnumAccess<'de>>(self, variant: A) -> Result<V::Value, A::Error> {
        self.0.visit_enum(variant)
    }
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Name<V> {
    type Value = V::Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.expecting(formatter)
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<V::Value, E> {
        self.0.visit_enum(name.into_deserializer())
    }
}

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for Strict<S> {
    type Value = S::Value;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<S::Value, D::Error> {
        self.0.deserialize(Strict(reader))
    }
}

impl<'de, A: SeqAccess<'de>> SeqAccess<'de> for Strict<A> {
    type Error = A::Error;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, A::Error> {
        self.0.next_element_seed(Strict(seed))
    }

    fn size_hint(&self) -> Option<usize> {
        self.0.size_hint()
    }
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Strict<A> {
    type Error = A::Error;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, A::Error> {
        self.0.next_key_seed(Strict(seed))
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, A::Error> {
        self.0.next_value_seed(Strict(seed))
    }

    fn size_hint(&self) -> Option<usize> {
        self.0.size_hint()
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]
mod tests {
    use crate::json::parse;
    use serde::Deserialize;
    use serde_json::{Map, Value, value::RawValue};
    use std::collections::BTreeMap;

    #[derive(Debug, PartialEq, Default, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Pair {
        a: Option<i64>,
        b: Option<f64>,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    struct Wrapped(Pair);

    #[derive(Debug, PartialEq, Deserialize)]
    struct Place(i64, i64);

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum Choice {
        One,
        Another,
    }

    #[derive(Debug, Default, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    struct All {
        plain: Pair,
        option: Option<Pair>,
        #[serde(deserialize_with = "crate::parameters::nullable")]
        nullable: Option<Option<Pair>>,
        boxed: Option<Box<Pair>>,
        newtype: Option<Wrapped>,
        list: Vec<Pair>,
        map: BTreeMap<String, Pair>,
        tuple: Option<(i64, Pair)>,
        place: Option<Place>,
        choice: Option<Choice>,
        names: Vec<Choice>,
        free: Map<String, Value>,
        raw: Vec<Box<RawValue>>,
    }

    fn read(text: &str) -> All {
        parse(text.as_bytes()).unwrap_or_else(|problem| panic!("{text}: {problem:?}"))
    }

    /// It is refused as one of the wrong type, and this is the field.
    fn refused(text: &str, field: &str) {
        let problem = parse::<All>(text.as_bytes()).unwrap_err();
        assert_eq!((problem.status().as_u16(), problem.code()), (422, "invalid_request"), "{text}");
        let members = problem.members();
        assert_eq!(members["field"], field, "{text}");
        assert_eq!(members["detail"], "This field has the wrong type or an impossible value.", "{text}");
    }

    #[test]
    fn an_array_is_no_object_wherever_one_is_asked_for() {
        for array in ["[]", "[1]", "[1, 2.5]", "[null, null]", "[1, 2.5, 3]"] {
            for field in ["plain", "option", "nullable", "boxed", "newtype", "free"] {
                refused(&format!(r#"{{"{field}": {array}}}"#), field);
            }
            refused(&format!(r#"{{"list": [{{}}, {array}]}}"#), "list[1]");
            refused(&format!(r#"{{"map": {{"k": {array}}}}}"#), "map.k");
            refused(&format!(r#"{{"tuple": [1, {array}]}}"#), "tuple[1]");
            assert_eq!(parse::<Pair>(array.as_bytes()).unwrap_err().status().as_u16(), 422);
        }
    }

    #[test]
    fn a_name_is_no_object() {
        refused(r#"{"choice": {"one": null}}"#, "choice");
        refused(r#"{"names": ["one", {"another": null}]}"#, "names[1]");
        refused(r#"{"choice": ["one"]}"#, "choice");
        refused(r#"{"choice": 0}"#, "choice");
        refused(r#"{"choice": "canary"}"#, "choice");
    }

    #[test]
    fn what_is_as_described_is_read_as_ever() {
        let pair = || Pair { a: Some(1), b: Some(2.5) };
        let all = read(
            r#"{
                "plain": {"b": 2.5, "a": 1}, "option": {"a": 1, "b": 2.5}, "nullable": {"a": 1, "b": 2.5},
                "boxed": {"a": 1, "b": 2.5}, "newtype": {"a": 1, "b": 2.5}, "list": [{"a": 1, "b": 2.5}],
                "map": {"k": {"a": 1, "b": 2.5}}, "tuple": [7, {"a": 1, "b": 2.5}], "place": [3, 4],
                "choice": "another", "names": ["one", "an\u006fther"],
                "free": {"k": [1, {"l": [null, -1, 18446744073709551615, 1.5, true, "x"]}]}, "raw": [[1,  2], {"a":  []}]
            }"#,
        );
        assert_eq!((&all.plain, all.option, all.nullable), (&pair(), Some(pair()), Some(Some(pair()))));
        assert_eq!((all.boxed, all.newtype, all.list), (Some(Box::new(pair())), Some(Wrapped(pair())), vec![pair()]));
        assert_eq!(all.map, BTreeMap::from([("k".to_owned(), pair())]));
        assert_eq!((all.tuple, all.place), (Some((7, pair())), Some(Place(3, 4))));
        assert_eq!((all.choice, all.names), (Some(Choice::Another), vec![Choice::One, Choice::Another]));
        let free = serde_json::json!({"k": [1, {"l": [null, -1, u64::MAX, 1.5, true, "x"]}]});
        assert_eq!(Value::Object(all.free), free);
        assert_eq!(all.raw.iter().map(|raw| raw.get()).collect::<Vec<_>>(), ["[1,  2]", r#"{"a":  []}"#]);

        let none = read(r#"{"nullable": null, "option": null, "list": [], "map": {}}"#);
        assert_eq!((none.nullable, none.option, none.list.len(), none.map.len()), (Some(None), None, 0, 0));
        let absent = read("{}");
        assert_eq!((absent.nullable, absent.plain), (None, Pair::default()));
    }
}
