package systemd

import (
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"github.com/godbus/dbus/v5"
)

// parseVariant reads GVariant text (https://docs.gtk.org/glib/gvariant-text-format.html), as far as properties of
// units are made of it: booleans, numbers, strings, arrays and tuples, with the words or @types that say which kind of
// number. dbus.ParseVariant is not used: it panics for some texts, such as "@s []".
func parseVariant(text string) (dbus.Variant, error) {
	p := &parser{rest: text}
	n, err := p.value(0)
	if err == nil && p.next() != 0 {
		err = fmt.Errorf("%q after the value", p.rest)
	}
	if err != nil {
		return dbus.Variant{}, err
	}
	sig, err := n.infer()
	if err != nil {
		return dbus.Variant{}, err
	}
	t, rest, err := typeOf(sig)
	if err == nil && rest != "" {
		err = fmt.Errorf("@%s is more than one type", sig)
	}
	if err != nil {
		return dbus.Variant{}, err
	}
	v := reflect.New(t).Elem()
	if err := n.fill(v); err != nil {
		return dbus.Variant{}, err
	}
	return dbus.MakeVariant(v.Interface()), nil
}

// node is one value as it was written.
type node struct {
	kind byte   // 'n' number, 's' string, 'b' boolean, '[' array, '(' tuple
	sig  string // the type, if the text names it
	text string
	kids []node
}

type parser struct{ rest string }

// maxDepth bounds nesting, as D-Bus does (32 arrays and 32 structures).
const maxDepth = 32

// next skips blanks and looks at the next character; 0 at the end.
func (p *parser) next() byte {
	p.rest = strings.TrimLeft(p.rest, " \t\n")
	if p.rest == "" {
		return 0
	}
	return p.rest[0]
}

func (p *parser) value(depth int) (node, error) {
	if depth > maxDepth {
		return node{}, errors.New("nested too deeply")
	}
	switch c := p.next(); c {
	case 0:
		return node{}, errors.New("a value is missing")
	case '[':
		return p.list('[', ']', depth)
	case '(':
		return p.list('(', ')', depth)
	case '\'', '"':
		return p.quoted(c)
	case '@':
		p.rest = p.rest[1:]
		return p.typed(p.word(), depth)
	}
	word := p.word()
	switch {
	case word == "":
		return node{}, fmt.Errorf("%q is not understood", p.rest)
	case word == "true", word == "false":
		return node{kind: 'b', text: word}, nil
	case strings.IndexByte("+-.0123456789", word[0]) >= 0 || word == "inf" || word == "nan":
		return node{kind: 'n', text: word}, nil
	}
	if sig := typeWord(word); sig != "" {
		return p.typed(sig, depth)
	}
	return node{}, fmt.Errorf("%q is not understood", word)
}

// word takes what is neither blank nor punctuation. Signatures have parentheses, which end words elsewhere.
func (p *parser) word() string {
	end := strings.IndexAny(p.rest, " \t\n,[]'\"<>{}:@")
	if end < 0 {
		end = len(p.rest)
	}
	word := p.rest[:end]
	if open := strings.Count(word, "("); strings.Count(word, ")") > open {
		word = word[:closing(word)]
	}
	p.rest = p.rest[len(word):]
	return word
}

// closing finds the first ")" that nothing in word opens.
func closing(word string) int {
	open := 0
	for i := range len(word) {
		switch word[i] {
		case '(':
			open++
		case ')':
			if open == 0 {
				return i
			}
			open--
		}
	}
	return len(word)
}

func (p *parser) typed(sig string, depth int) (node, error) {
	n, err := p.value(depth + 1)
	if err == nil && n.sig != "" && n.sig != sig {
		err = fmt.Errorf("two types for one value, %s and %s", sig, n.sig)
	}
	n.sig = sig
	return n, err
}

func (p *parser) list(open, end byte, depth int) (node, error) {
	n := node{kind: open}
	p.rest = p.rest[1:]
	for {
		if p.next() == end {
			p.rest = p.rest[1:]
			return n, nil
		}
		kid, err := p.value(depth + 1)
		if err != nil {
			return n, err
		}
		n.kids = append(n.kids, kid)
		switch p.next() {
		case ',':
			p.rest = p.rest[1:]
		case end:
		default:
			return n, fmt.Errorf("%q where a comma or %q belongs", p.rest, end)
		}
	}
}

func (p *parser) quoted(quote byte) (node, error) {
	var b strings.Builder
	for i := 1; i < len(p.rest); i++ {
		switch c := p.rest[i]; c {
		case quote:
			p.rest = p.rest[i+1:]
			return node{kind: 's', text: b.String()}, nil
		case '\\':
			n, r, err := unescape(p.rest[i+1:])
			if err != nil {
				return node{}, err
			}
			i += n
			b.WriteRune(r)
		default:
			b.WriteByte(c)
		}
	}
	return node{}, errors.New("a quote is not closed")
}

// unescape gives the character that the text behind a backslash means, and how long that text is.
func unescape(text string) (int, rune, error) {
	if text == "" {
		return 0, 0, errors.New("a backslash at the end")
	}
	digits := 0
	switch text[0] {
	case 'u':
		digits = 4
	case 'U':
		digits = 8
	default:
		if i := strings.IndexByte("abfnrtv", text[0]); i >= 0 {
			return 1, rune("\a\b\f\n\r\t\v"[i]), nil
		}
		return 1, rune(text[0]), nil
	}
	if len(text) <= digits {
		return 0, 0, errors.New(`\u or \U without all of its digits`)
	}
	code, err := strconv.ParseUint(text[1:1+digits], 16, 31)
	return 1 + digits, rune(code), err
}

func typeWord(word string) string {
	switch word {
	case "boolean":
		return "b"
	case "byte":
		return "y"
	case "int16":
		return "n"
	case "uint16":
		return "q"
	case "int32":
		return "i"
	case "uint32":
		return "u"
	case "int64":
		return "x"
	case "uint64":
		return "t"
	case "double":
		return "d"
	case "string":
		return "s"
	case "objectpath":
		return "o"
	case "signature":
		return "g"
	}
	return ""
}

// infer gives the type of a value that may name it only in part: [uint64 1, 2] is an array of two uint64.
func (n *node) infer() (string, error) {
	switch {
	case n.sig != "":
		return n.sig, nil
	case n.kind == 'b', n.kind == 's':
		return string(n.kind), nil
	case n.kind == 'n' && strings.ContainsAny(n.text, ".en") && !strings.HasPrefix(n.text, "0x"):
		return "d", nil
	case n.kind == 'n':
		return "i", nil
	case n.kind == '[':
		return n.inferArray()
	}
	sig := "("
	for i := range n.kids {
		kid, err := n.kids[i].infer()
		if err != nil {
			return "", err
		}
		sig += kid
	}
	return sig + ")", nil
}

// inferArray takes the type of the element that says most: one that names it, else a fraction, else the first.
func (n *node) inferArray() (string, error) {
	best := ""
	for i := range n.kids {
		kid, err := n.kids[i].infer()
		if err != nil {
			return "", err
		}
		if n.kids[i].sig != "" {
			return "a" + kid, nil
		}
		if best == "" || kid == "d" {
			best = kid
		}
	}
	if best == "" {
		return "", errors.New("an empty array without a type: write @as []")
	}
	return "a" + best, nil
}

// typeOf gives the Go type that package dbus sends as the first complete type of sig, and the rest of sig.
func typeOf(sig string) (reflect.Type, string, error) {
	if sig == "" {
		return nil, "", errors.New("a type is missing")
	}
	if len(sig) > 255 {
		return nil, "", errors.New("a type of more than 255 characters")
	}
	switch rest := sig[1:]; sig[0] {
	case 'a':
		t, rest, err := typeOf(rest)
		if err != nil {
			return nil, "", err
		}
		return reflect.SliceOf(t), rest, nil
	case '(':
		return tupleType(rest)
	default:
		t := basicType(sig[0])
		if t == nil {
			return nil, "", fmt.Errorf("type %q is for no property", sig)
		}
		return t, rest, nil
	}
}

func basicType(c byte) reflect.Type {
	switch c {
	case 'b':
		return reflect.TypeFor[bool]()
	case 'y':
		return reflect.TypeFor[byte]()
	case 'n':
		return reflect.TypeFor[int16]()
	case 'q':
		return reflect.TypeFor[uint16]()
	case 'i':
		return reflect.TypeFor[int32]()
	case 'u':
		return reflect.TypeFor[uint32]()
	case 'x':
		return reflect.TypeFor[int64]()
	case 't':
		return reflect.TypeFor[uint64]()
	case 'd':
		return reflect.TypeFor[float64]()
	case 's':
		return reflect.TypeFor[string]()
	case 'o':
		return reflect.TypeFor[dbus.ObjectPath]()
	case 'g':
		return reflect.TypeFor[dbus.Signature]()
	}
	return nil
}

func tupleType(sig string) (reflect.Type, string, error) {
	var fields []reflect.StructField
	for !strings.HasPrefix(sig, ")") {
		t, rest, err := typeOf(sig)
		if err != nil {
			return nil, "", err
		}
		fields = append(fields, reflect.StructField{Name: "F" + strconv.Itoa(len(fields)), Type: t})
		sig = rest
	}
	if len(fields) == 0 {
		return nil, "", errors.New("D-Bus has no empty tuple")
	}
	return reflect.StructOf(fields), sig[1:], nil
}

// fill writes the value into v, which has the type decided on.
func (n *node) fill(v reflect.Value) error {
	if want := dbus.SignatureOfType(v.Type()).String(); n.sig != "" && n.sig != want {
		return fmt.Errorf("type %s where %s belongs", n.sig, want)
	}
	switch {
	case n.kind == 's':
		return n.fillText(v)
	case n.kind == 'b' && v.Kind() == reflect.Bool:
		v.SetBool(n.text == "true")
		return nil
	case n.kind == 'n':
		return n.fillNumber(v)
	case n.kind == '[' && v.Kind() == reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), len(n.kids), len(n.kids)))
		return n.fillKids(v.Index)
	case n.kind == '(' && v.Kind() == reflect.Struct && v.NumField() == len(n.kids):
		return n.fillKids(v.Field)
	}
	return fmt.Errorf("%s does not fit type %s", n.shown(), dbus.SignatureOfType(v.Type()))
}

func (n *node) fillKids(place func(int) reflect.Value) error {
	for i := range n.kids {
		if err := n.kids[i].fill(place(i)); err != nil {
			return err
		}
	}
	return nil
}

// fillText: D-Bus ends a connection over a string that is no UTF-8 or has a NUL.
func (n *node) fillText(v reflect.Value) error {
	if strings.ToValidUTF8(n.text, "") != n.text || strings.IndexByte(n.text, 0) >= 0 {
		return errors.New("a string that is no UTF-8, or has a NUL in it")
	}
	switch v.Interface().(type) {
	case string:
		v.SetString(n.text)
		return nil
	case dbus.ObjectPath:
		v.SetString(n.text)
		if !dbus.ObjectPath(n.text).IsValid() {
			return fmt.Errorf("%q is no object path", n.text)
		}
		return nil
	case dbus.Signature:
		sig, err := dbus.ParseSignature(n.text)
		v.Set(reflect.ValueOf(sig))
		return err
	}
	return fmt.Errorf("%s does not fit type %s", n.shown(), dbus.SignatureOfType(v.Type()))
}

func (n *node) fillNumber(v reflect.Value) (err error) {
	switch {
	case v.CanInt():
		var i int64
		i, err = strconv.ParseInt(n.text, 0, v.Type().Bits())
		v.SetInt(i)
	case v.CanUint():
		var u uint64
		u, err = strconv.ParseUint(strings.TrimPrefix(n.text, "+"), 0, v.Type().Bits())
		v.SetUint(u)
	case v.CanFloat():
		var f float64
		f, err = strconv.ParseFloat(n.text, 64)
		v.SetFloat(f)
	default:
		return fmt.Errorf("%s does not fit type %s", n.shown(), dbus.SignatureOfType(v.Type()))
	}
	if err != nil {
		return fmt.Errorf("%s does not fit type %s", n.shown(), dbus.SignatureOfType(v.Type()))
	}
	return nil
}

func (n *node) shown() string {
	switch n.kind {
	case '[':
		return "an array"
	case '(':
		return "a tuple"
	case 's':
		return strconv.Quote(n.text)
	}
	return n.text
}
