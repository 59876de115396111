package cli

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/go-json-experiment/json/jsontext"
)

// level of a log record. The zero value is the most severe.
type level int

const (
	levelError level = iota
	levelWarn
	levelInfo
	levelDebug
)

func (l level) String() string {
	return [...]string{"error", "warning", "info", "debug"}[l]
}

func parseLevel(s string) (level, error) {
	switch s {
	case "error":
		return levelError, nil
	case "warn", "warning":
		return levelWarn, nil
	case "info":
		return levelInfo, nil
	case "debug":
		return levelDebug, nil
	}
	return 0, fmt.Errorf("--log-level %q: must be debug, info, warn or error", s)
}

// logger writes records, each with one write. Until it is told otherwise it
// writes text to stderr.
//
// Engines read its file: containerd takes the last error record, Podman takes
// the whole file for one JSON object. So a failing command leaves exactly one
// record there unless more is asked for.
type logger struct {
	stderr io.Writer
	file   *os.File // nil: records go to stderr
	json   bool
	least  level
}

func newLogger(stderr io.Writer) *logger {
	return &logger{stderr: stderr, least: levelWarn}
}

// openLog points the logger where the global options say.
func (a *app) openLog() error {
	if a.logFile != "" {
		if err := a.log.open(a.logFile); err != nil {
			return fmt.Errorf("--log: %w", err)
		}
	}
	switch a.format {
	case "json":
		a.log.json = true
	case "text":
	default:
		return fmt.Errorf("--log-format %q: must be text or json", a.format)
	}
	return a.setLevel()
}

func (a *app) setLevel() error {
	if a.debug && a.level != "" && a.level != "debug" {
		return fmt.Errorf("--debug and --log-level=%s contradict each other", a.level)
	}
	if a.debug {
		a.level = "debug"
	}
	if a.level == "" {
		return nil
	}
	l, err := parseLevel(a.level)
	if err != nil {
		return err
	}
	a.log.least = l
	return nil
}

// open sends records to a file. It is O_SYNC because the reader looks at it as
// soon as we have died.
func (l *logger) open(path string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND|os.O_SYNC, 0o644)
	if err != nil {
		return err
	}
	l.close()
	l.file, l.least = f, levelError
	return nil
}

func (l *logger) close() {
	if l.file != nil {
		l.file.Close()
	}
}

// fatal records the error that ends the command, and tells it on stderr too
// when records go elsewhere.
func (l *logger) fatal(err error) {
	msg := joinLines(err.Error())
	wrote := l.record(levelError, msg)
	if l.file == nil {
		return
	}
	if wrote != nil {
		msg += " (and not logged: " + wrote.Error() + ")"
	}
	fmt.Fprintf(l.stderr, "rt: %s\n", printable(strings.TrimPrefix(msg, "rt: ")))
}

func (l *logger) debugf(format string, args ...any) {
	if l.least >= levelDebug {
		l.record(levelDebug, fmt.Sprintf(format, args...))
	}
}

func (l *logger) warn(msg string) {
	if l.least >= levelWarn {
		l.record(levelWarn, msg)
	}
}

func (l *logger) record(lv level, msg string) error {
	fields := []field{
		{"level", lv.String()},
		{"msg", msg},
		{"time", time.Now().UTC().Format(time.RFC3339)},
	}
	if l.least >= levelDebug {
		fields = append(fields, field{"file", caller()})
	}
	var w io.Writer = l.stderr
	if l.file != nil {
		w = l.file
	}
	if l.json {
		_, err := w.Write(jsonLine(fields))
		return err
	}
	_, err := w.Write(textLine(fields))
	return err
}

// caller is file:line of the code that called fatal, warn or debugf.
func caller() string {
	_, file, line, _ := runtime.Caller(3)
	return filepath.Base(file) + ":" + strconv.Itoa(line)
}

type field struct{ key, value string }

func jsonLine(fields []field) []byte {
	b := []byte{'{'}
	for i, f := range fields {
		if i > 0 {
			b = append(b, ',')
		}
		// An error of AppendQuote can only be about UTF-8, which is made valid here.
		b, _ = jsontext.AppendQuote(b, f.key)
		b = append(b, ':')
		b, _ = jsontext.AppendQuote(b, strings.ToValidUTF8(f.value, "\uFFFD"))
	}
	return append(b, '}', '\n')
}

// textLine is logfmt as logrus writes it: time first, quotes where needed.
func textLine(fields []field) []byte {
	level, msg, time := fields[0], fields[1], fields[2]
	b := []byte("time=" + strconv.Quote(time.value) + " level=" + level.value + " msg=" + strconv.Quote(msg.value))
	for _, f := range fields[3:] {
		b = append(b, " "+f.key+"="+strconv.Quote(f.value)...)
	}
	return append(b, '\n')
}

// joinLines makes one line of an error that was joined from several or quotes
// some: readers of a log take its last line for the whole story.
func joinLines(s string) string {
	return strings.Join(strings.FieldsFunc(s, func(r rune) bool { return r == '\n' }), "; ")
}

// printable makes control characters visible: an error may quote a hook's stderr
// or a file of the image, and must not drive the terminal.
func printable(s string) string {
	var b strings.Builder
	for _, r := range s {
		if unicode.IsControl(r) {
			b.WriteString(strings.Trim(strconv.QuoteRune(r), "'"))
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}
