package specconv

import (
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// scanner reads JSON text (RFC 8259) from left to right. Strings without escapes are slices of src, so
// that reading a config allocates little.
type scanner struct {
	src   string
	pos   int
	depth int
}

// maxDepth is how deep arrays and objects may be nested; it is encoding/json's limit.
const maxDepth = 10000

// fail is a fault in the text at the byte offset.
func (s *scanner) fail(offset int, msg string) *SyntaxError {
	before := s.src[:offset]
	return &SyntaxError{
		Line:   1 + strings.Count(before, "\n"),
		Column: len(before) - strings.LastIndexByte(before, '\n'),
		Msg:    msg,
	}
}

// unexpected is the fault that the next byte is not what had to come.
func (s *scanner) unexpected(wanted string) *SyntaxError {
	if s.pos >= len(s.src) {
		return s.fail(s.pos, "the text ends where "+wanted+" has to be")
	}
	r, _ := utf8.DecodeRuneInString(s.src[s.pos:])
	return s.fail(s.pos, strconv.QuoteRune(r)+" is where "+wanted+" has to be")
}

// peek skips white space and returns the byte that comes then, or 0 at the end.
func (s *scanner) peek() byte {
	for ; s.pos < len(s.src); s.pos++ {
		switch b := s.src[s.pos]; b {
		case ' ', '\n', '\t', '\r':
		default:
			return b
		}
	}
	return 0
}

// take moves past b if it is next.
func (s *scanner) take(b byte) bool {
	if s.peek() != b || s.pos >= len(s.src) {
		return false
	}
	s.pos++
	return true
}

// word reads one of the names true, false and null.
func (s *scanner) word(w string) *SyntaxError {
	if !strings.HasPrefix(s.src[s.pos:], w) {
		return s.unexpected("a value")
	}
	s.pos += len(w)
	return nil
}

// enter and leave count how deep the scanner is inside arrays and objects.
func (s *scanner) enter() *SyntaxError {
	s.pos++
	if s.depth++; s.depth > maxDepth {
		return s.fail(s.pos, "arrays and objects are nested too deep")
	}
	return nil
}

func (s *scanner) leave() { s.depth-- }

// members calls member for every name of an object, with the scanner before the value.
func (s *scanner) members(member func(name string) *SyntaxError) *SyntaxError {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.leave()
	if s.take('}') {
		return nil
	}
	for {
		if s.peek() != '"' {
			return s.unexpected("a name in quotes")
		}
		name, err := s.string()
		if err != nil {
			return err
		}
		if !s.take(':') {
			return s.unexpected(`":"`)
		}
		if err := member(name); err != nil {
			return err
		}
		if s.take('}') {
			return nil
		}
		if !s.take(',') {
			return s.unexpected(`"," or "}"`)
		}
	}
}

// elements calls element for every element of an array, with the scanner before the value.
func (s *scanner) elements(element func(i int) *SyntaxError) *SyntaxError {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.leave()
	if s.take(']') {
		return nil
	}
	for i := 0; ; i++ {
		if err := element(i); err != nil {
			return err
		}
		if s.take(']') {
			return nil
		}
		if !s.take(',') {
			return s.unexpected(`"," or "]"`)
		}
	}
}

// skip reads a value that nobody wants, and still finds what is wrong with it.
func (s *scanner) skip() *SyntaxError {
	switch b := s.peek(); {
	case b == '{':
		return s.members(func(string) *SyntaxError { return s.skip() })
	case b == '[':
		return s.elements(func(int) *SyntaxError { return s.skip() })
	case b == '"':
		_, err := s.string()
		return err
	case b == 't':
		return s.word("true")
	case b == 'f':
		return s.word("false")
	case b == 'n':
		return s.word("null")
	default:
		_, err := s.number()
		return err
	}
}

// number reads a number and leaves it as text.
func (s *scanner) number() (string, *SyntaxError) {
	if b := s.peek(); b != '-' && !isDigit(b) {
		return "", s.unexpected("a value")
	}
	start := s.pos
	s.accept("-")
	if !s.accept("0") && !s.digits() {
		return "", s.unexpected("a digit")
	}
	if s.accept(".") && !s.digits() {
		return "", s.unexpected("a digit")
	}
	if s.accept("eE") {
		s.accept("+-")
		if !s.digits() {
			return "", s.unexpected("a digit")
		}
	}
	return s.src[start:s.pos], nil
}

func (s *scanner) accept(set string) bool {
	if s.pos >= len(s.src) || strings.IndexByte(set, s.src[s.pos]) < 0 {
		return false
	}
	s.pos++
	return true
}

func (s *scanner) digits() bool {
	start := s.pos
	for s.pos < len(s.src) && isDigit(s.src[s.pos]) {
		s.pos++
	}
	return s.pos > start
}

func isDigit(b byte) bool { return b >= '0' && b <= '9' }

// string reads a string; the scanner is at its opening quote.
func (s *scanner) string() (string, *SyntaxError) {
	s.pos++
	start, ascii := s.pos, true
	for ; s.pos < len(s.src); s.pos++ {
		switch b := s.src[s.pos]; {
		case b == '"':
			text := s.src[start:s.pos]
			s.pos++
			if !ascii {
				text = validUTF8(text)
			}
			return text, nil
		case b == '\\':
			return s.escaped(start)
		case b < ' ':
			return "", s.fail(s.pos, "a control character inside a string has to be written as an escape")
		case b >= utf8.RuneSelf:
			ascii = false
		}
	}
	return "", s.unexpected("a closing quote")
}

// escaped reads on in a string that began at start, from its first backslash.
func (s *scanner) escaped(start int) (string, *SyntaxError) {
	text := []byte(s.src[start:s.pos])
	for s.pos < len(s.src) {
		switch b := s.src[s.pos]; {
		case b == '"':
			s.pos++
			return validUTF8(string(text)), nil
		case b == '\\':
			r, err := s.escape()
			if err != nil {
				return "", err
			}
			text = utf8.AppendRune(text, r)
		case b < ' ':
			return "", s.fail(s.pos, "a control character inside a string has to be written as an escape")
		default:
			text = append(text, b)
			s.pos++
		}
	}
	return "", s.unexpected("a closing quote")
}

// escape reads one escape sequence, or two that make a surrogate pair.
func (s *scanner) escape() (rune, *SyntaxError) {
	if r, ok := s.unit(); ok {
		if !utf16.IsSurrogate(r) {
			return r, nil
		}
		after := s.pos
		if low, ok := s.unit(); ok {
			if pair := utf16.DecodeRune(r, low); pair != utf8.RuneError {
				return pair, nil
			}
		}
		s.pos = after // not its other half, so a character of its own
		return utf8.RuneError, nil
	}
	const letters, meanings = `"\/bfnrt`, "\"\\/\b\f\n\r\t"
	if s.pos+1 < len(s.src) {
		if i := strings.IndexByte(letters, s.src[s.pos+1]); i >= 0 {
			s.pos += 2
			return rune(meanings[i]), nil
		}
	}
	return 0, s.fail(s.pos, `a backslash inside a string has to be followed by one of "\/bfnrt or by u and four hexadecimal digits`)
}

// unit reads \u and four hexadecimal digits, if they are next.
func (s *scanner) unit() (rune, bool) {
	if len(s.src)-s.pos < 6 || s.src[s.pos:s.pos+2] != `\u` {
		return 0, false
	}
	var r rune
	for _, b := range []byte(s.src[s.pos+2 : s.pos+6]) {
		switch {
		case isDigit(b):
			b -= '0'
		case b >= 'a' && b <= 'f':
			b -= 'a' - 10
		case b >= 'A' && b <= 'F':
			b -= 'A' - 10
		default:
			return 0, false
		}
		r = r<<4 | rune(b)
	}
	s.pos += 6
	return r, true
}

// validUTF8 puts U+FFFD in the place of each byte that is no part of a character.
func validUTF8(text string) string {
	if utf8.ValidString(text) {
		return text
	}
	return string([]rune(text))
}
