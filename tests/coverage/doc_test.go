// Package coverage holds rt against the runtime specification as a whole: that
// no field and no value is forgotten, that what the specification's JSON
// schemas refuse is refused and its examples are taken, that `rt features`
// tells the truth. What a field does, the tests that are named here see.
package coverage
