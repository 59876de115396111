package specconv_test

import (
	"os"
	"testing"

	"rt/specconv"
)

func BenchmarkDecode(b *testing.B) {
	data, err := os.ReadFile(configs + "/docker-default.json")
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := specconv.Decode("config.json", data); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkValidate(b *testing.B) {
	spec, err := specconv.Load(configs + "/docker-default.json")
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if err := specconv.Validate(spec, specconv.Host{}); err != nil {
			b.Fatal(err)
		}
	}
}
