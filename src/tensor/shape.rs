//! The shape of a tensor, and what a model's signature says of shapes.

use std::{fmt, ops::Deref};

use smallvec::SmallVec;

/// The most dimensions that a caller's tensor may have: no model has so many,
/// and nested lists are read by recursion.
pub const MOST_DIMENSIONS: usize = 64;

/// The dimensions of a tensor, outermost first. Rank 0 is a scalar.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Shape(SmallVec<[usize; 4]>);

impl Shape {
    /// A shape of these dimensions.
    pub fn new(dims: &[usize]) -> Self {
        Self(SmallVec::from_slice(dims))
    }

    /// How many elements the shape holds: 1 for a scalar, and `None` when
    /// the product does not fit.
    pub fn elements(&self) -> Option<usize> {
        self.0.iter().try_fold(1usize, |n, &d| n.checked_mul(d))
    }

    /// The first dimension: the rows of a batch. `None` for a scalar.
    pub fn rows(&self) -> Option<usize> {
        self.0.first().copied()
    }

    /// The same shape with another first dimension. A scalar stays one.
    #[must_use]
    pub fn with_rows(&self, rows: usize) -> Self {
        let mut shape = self.clone();
        if let Some(first) = shape.0.first_mut() {
            *first = rows;
        }
        shape
    }
}

impl Deref for Shape {
    type Target = [usize];

    fn deref(&self) -> &[usize] {
        &self.0
    }
}

impl<const N: usize> From<[usize; N]> for Shape {
    fn from(dims: [usize; N]) -> Self {
        Self(SmallVec::from_slice(&dims))
    }
}

impl FromIterator<usize> for Shape {
    fn from_iter<I: IntoIterator<Item = usize>>(dims: I) -> Self {
        Self(dims.into_iter().collect())
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[")?;
        for (i, dim) in self.0.iter().enumerate() {
            write!(f, "{}{dim}", if i == 0 { "" } else { "," })?;
        }
        write!(f, "]")
    }
}

/// One dimension in a model's signature.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Dim {
    /// Exactly this many.
    Fixed(usize),
    /// Any number, the same wherever the symbol stands in the inputs.
    Symbol(String),
    /// Any number.
    Any,
}

impl Dim {
    /// The dimension as the protocol writes it: -1 where it varies.
    pub fn protocol(&self) -> i64 {
        match self {
            Dim::Fixed(n) => i64::try_from(*n).unwrap_or(i64::MAX),
            Dim::Symbol(_) | Dim::Any => -1,
        }
    }

    /// Whether the dimension may vary.
    pub fn is_dynamic(&self) -> bool {
        !matches!(self, Dim::Fixed(_))
    }
}

impl fmt::Display for Dim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Dim::Fixed(n) => write!(f, "{n}"),
            Dim::Symbol(name) => f.write_str(name),
            Dim::Any => f.write_str("?"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_of_scalar_empty_and_too_many() {
        assert_eq!(Shape::default().elements(), Some(1));
        assert_eq!(Shape::from([3, 0, 2]).elements(), Some(0));
        assert_eq!(Shape::from([usize::MAX, 2]).elements(), None);
    }

    #[test]
    fn rows_are_the_first_dimension() {
        assert_eq!(Shape::from([4, 2]).with_rows(9), Shape::from([9, 2]));
        assert_eq!(Shape::default().with_rows(9), Shape::default());
        assert_eq!(Shape::from([4, 2]).to_string(), "[4,2]");
    }
}
