//! The grammar of field expressions. Knows no message type: [`super::resolve`] looks the names up.
//!
//! ```text
//! expression = "yaw" "(" path ")" | "sin_cos" "(" expression ")" | path
//! path       = segment { "." segment }
//! segment    = name [ "[" selector "]" ]
//! selector   = index [ "of" length ]                       ranges[3]
//!            | start ":" end [ ":" step ] [ "of" length ]  ranges[0:360:10]; without `of`, `end` is the length
//!            | name "=" text                               position[name=elbow]
//! ```

use super::error::MessageError;

/// Transforms nest at most this deep: each `sin_cos` doubles the channels.
const MAX_NESTING: usize = 8;

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Expression {
    Path(FieldPath),
    /// The heading of a quaternion, rad.
    Yaw(FieldPath),
    /// Each channel's sine, and then its cosine.
    SinCos(Box<Expression>),
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct FieldPath {
    pub(crate) segments: Vec<PathSegment>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct PathSegment {
    pub(crate) name: String,
    pub(crate) selector: Option<Selector>,
    /// Where the segment starts in the expression, bytes.
    pub(crate) position: usize,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Selector {
    Index {
        index: u32,
        length: Option<u32>,
    },
    /// `start..end` in steps of `step`, of an array of exactly `length` elements.
    Slice {
        start: u32,
        end: u32,
        step: u32,
        length: u32,
    },
    /// The element whose index `name` has in the array `names` at the same level.
    Named {
        names: String,
        name: String,
    },
}

impl Expression {
    /// Parses one field expression.
    ///
    /// # Errors
    /// [`MessageError::Expression`] with the position and the rule.
    pub(crate) fn parse(text: &str) -> Result<Self, MessageError> {
        let mut parser = Parser { text, position: 0 };
        let expression = parser.expression(0)?;
        match parser.peek() {
            None => Ok(expression),
            Some(_) => Err(parser.refuse("expected the end of the expression")),
        }
    }
}

struct Parser<'a> {
    text: &'a str,
    position: usize,
}

type Parsed<T> = Result<T, MessageError>;

impl<'a> Parser<'a> {
    fn expression(&mut self, nesting: usize) -> Parsed<Expression> {
        self.peek();
        let start = self.position;
        let name = self.name()?;
        if self.peek() != Some('(') {
            self.position = start;
            return self.path().map(Expression::Path);
        }
        if nesting >= MAX_NESTING {
            return Err(self.refuse(&format!("transforms nest at most {MAX_NESTING} deep")));
        }
        self.expect('(')?;
        let expression = match name {
            "yaw" => {
                let path = self.path()?;
                if self.peek() == Some('(') {
                    return Err(self.refuse("yaw(...) takes a quaternion field, not a transform"));
                }
                Expression::Yaw(path)
            }
            "sin_cos" => Expression::SinCos(Box::new(self.expression(nesting + 1)?)),
            _ => {
                self.position = start;
                return Err(self.refuse("the transforms are yaw(...) and sin_cos(...)"));
            }
        };
        self.expect(')')?;
        Ok(expression)
    }

    fn path(&mut self) -> Parsed<FieldPath> {
        let mut segments = vec![self.segment()?];
        while self.peek() == Some('.') {
            self.expect('.')?;
            segments.push(self.segment()?);
        }
        Ok(FieldPath { segments })
    }

    fn segment(&mut self) -> Parsed<PathSegment> {
        self.peek();
        let position = self.position;
        let name = self.name()?.to_string();
        let mut selector = None;
        if self.peek() == Some('[') {
            self.expect('[')?;
            selector = Some(self.selector()?);
            self.expect(']')?;
        }
        Ok(PathSegment { name, selector, position })
    }

    fn selector(&mut self) -> Parsed<Selector> {
        let at = |parser: &mut Self| {
            parser.peek();
            parser.position
        };
        let first = at(self);
        if self.peek().is_some_and(|c| c.is_ascii_alphabetic() || c == '_') {
            let names = self.name()?.to_string();
            self.expect('=')?;
            let rest = &self.text[self.position..];
            let end = rest.find(']').ok_or_else(|| self.refuse("a selection by name ends with `]`"))?;
            let name = rest[..end].trim().to_string();
            if name.is_empty() {
                return Err(self.refuse("a selection by name needs a name after `=`"));
            }
            self.position += end;
            return Ok(Selector::Named { names, name });
        }
        let start = self.number()?;
        if self.peek() != Some(':') {
            let length = self.stated_length()?;
            if length.is_some_and(|length| start >= length) {
                return Err(self.refuse_at(first, "an index is below the array's length"));
            }
            return Ok(Selector::Index { index: start, length });
        }
        self.expect(':')?;
        let end = self.number()?;
        let mut step = 1;
        if self.peek() == Some(':') {
            self.expect(':')?;
            let place = at(self);
            step = self.number()?;
            if step == 0 {
                return Err(self.refuse_at(place, "the step of a slice is at least 1"));
            }
        }
        let length = self.stated_length()?.unwrap_or(end);
        if start >= end || end > length {
            return Err(
                self.refuse_at(first, "a slice start:end has start below end and end at most the array's length")
            );
        }
        Ok(Selector::Slice { start, end, step, length })
    }

    /// `of LENGTH`, where it stands.
    fn stated_length(&mut self) -> Parsed<Option<u32>> {
        if self.peek() != Some('o') {
            return Ok(None);
        }
        match self.name()? {
            "of" => self.number().map(Some),
            _ => Err(self.refuse("expected `of` and the array's length")),
        }
    }

    /// The next character that is no space, which stays.
    fn peek(&mut self) -> Option<char> {
        let rest = &self.text[self.position..];
        self.position += rest.len() - rest.trim_start().len();
        self.text[self.position..].chars().next()
    }

    fn expect(&mut self, character: char) -> Parsed<()> {
        if self.peek() != Some(character) {
            return Err(self.refuse(&format!("expected `{character}`")));
        }
        self.position += character.len_utf8();
        Ok(())
    }

    fn name(&mut self) -> Parsed<&'a str> {
        if !self.peek().is_some_and(|c| c.is_ascii_alphabetic() || c == '_') {
            return Err(self.refuse("expected a name"));
        }
        Ok(self.run(|c| c.is_ascii_alphanumeric() || c == '_'))
    }

    fn number(&mut self) -> Parsed<u32> {
        match self.peek() {
            Some('-') => return Err(self.refuse("indices count from the front: a negative one is refused")),
            Some(c) if c.is_ascii_digit() => {}
            _ => return Err(self.refuse("expected a whole number")),
        }
        let start = self.position;
        let digits = self.run(|c| c.is_ascii_digit());
        digits.parse().map_err(|_| self.refuse_at(start, "a whole number is below 2^32"))
    }

    fn run(&mut self, belongs: impl Fn(char) -> bool) -> &'a str {
        let rest = &self.text[self.position..];
        let run = &rest[..rest.find(|c| !belongs(c)).unwrap_or(rest.len())];
        self.position += run.len();
        run
    }

    fn refuse(&self, rule: &str) -> MessageError {
        self.refuse_at(self.position, rule)
    }

    fn refuse_at(&self, position: usize, rule: &str) -> MessageError {
        MessageError::Expression { expression: self.text.into(), position, rule: rule.into() }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn segment(name: &str, selector: Option<Selector>, position: usize) -> PathSegment {
        PathSegment { name: name.into(), selector, position }
    }

    #[test]
    fn every_form_is_parsed() {
        let slice = |start, end, step, length| Some(Selector::Slice { start, end, step, length });
        let named = |names: &str, name: &str| Some(Selector::Named { names: names.into(), name: name.into() });
        let path = |segments| Ok(Expression::Path(FieldPath { segments }));
        assert_eq!(
            Expression::parse("a.b_2.c"),
            path(vec![segment("a", None, 0), segment("b_2", None, 2), segment("c", None, 6)])
        );
        for (text, selector) in [
            ("r[3]", Some(Selector::Index { index: 3, length: None })),
            ("r[3 of 4]", Some(Selector::Index { index: 3, length: Some(4) })),
            ("r[0:360:10]", slice(0, 360, 10, 360)),
            ("r[5:7]", slice(5, 7, 1, 7)),
            ("r[0:180:10 of 360]", slice(0, 180, 10, 360)),
            (" r [ 0 : 180 : 10 of 360 ] ", slice(0, 180, 10, 360)),
            ("r[name=elbow]", named("name", "elbow")),
            ("r[name=left arm/elbow.2]", named("name", "left arm/elbow.2")),
        ] {
            let position = text.find('r').unwrap();
            assert_eq!(Expression::parse(text), path(vec![segment("r", selector, position)]), "{text}");
        }
        let quaternion = FieldPath { segments: vec![segment("q", None, 12)] };
        let expected = Expression::SinCos(Box::new(Expression::Yaw(quaternion)));
        assert_eq!(Expression::parse("sin_cos(yaw(q))"), Ok(expected));
        // A field may have the name of a transform.
        assert_eq!(Expression::parse("yaw"), path(vec![segment("yaw", None, 0)]));
    }

    #[test]
    fn refusals_name_position_and_rule() {
        for (text, at, rule) in [
            ("", 0, "expected a name"),
            ("a..b", 2, "expected a name"),
            ("a b", 2, "expected the end"),
            ("a[-1]", 2, "negative"),
            ("a[0:-1]", 4, "negative"),
            ("a[]", 2, "whole number"),
            ("a[:5]", 2, "whole number"),
            ("a[5:5]", 2, "start below end"),
            ("a[0:10 of 9]", 2, "at most the array's length"),
            ("a[0:10:0]", 7, "at least 1"),
            ("a[9 of 9]", 2, "below the array's length"),
            ("a[99999999999]", 2, "below 2^32"),
            ("a[name=]", 7, "needs a name"),
            ("a[name=x", 7, "ends with `]`"),
            ("a[0", 3, "expected `]`"),
            ("tan(a)", 0, "the transforms are"),
            ("yaw(sin_cos(a))", 11, "takes a quaternion field"),
            ("sin_cos(a", 9, "expected `)`"),
            ("pös", 1, "expected the end"),
            ("sin_cos(sin_cos(sin_cos(sin_cos(sin_cos(sin_cos(sin_cos(sin_cos(sin_cos(a)))))))))", 71, "nest at most"),
        ] {
            match Expression::parse(text) {
                Err(MessageError::Expression { position, rule: got, .. }) => {
                    assert!(got.contains(rule) && position == at, "{text}: {position}: {got}");
                }
                other => panic!("{text}: {other:?}"),
            }
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "[a-z\\[\\]().:=0-9 _öü-]{0,40}") {
            let _ = Expression::parse(&text);
        }
    }
}
