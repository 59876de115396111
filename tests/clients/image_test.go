package clients

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"rt/tests/rttest"
)

// imageName is what the image is called in every engine.
const imageName = "localhost/rt-test:1"

type object = map[string]any

// writeImage makes an archive with one busybox image in it, which is an OCI layout and what `docker load` reads at the
// same time, and returns its path.
func writeImage(t *testing.T, dir string) string {
	t.Helper()
	rootfs := filepath.Join(dir, "rootfs")
	rttest.MakeRootfs(t, rootfs)
	must(t, os.WriteFile(filepath.Join(rootfs, "pause"), []byte("#!/bin/sh\nexec sleep 100000\n"), 0o755)) // for pods
	layer := packTree(t, rootfs)
	path := filepath.Join(dir, "image.tar")
	if err := os.WriteFile(path, imageArchive(t, layer), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// packTree is the directory as an uncompressed layer.
func packTree(t *testing.T, root string) []byte {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	err := filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
		if err != nil || path == root {
			return err
		}
		return packFile(w, root, path)
	})
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatalf("pack %s: %v", root, err)
	}
	return out.Bytes()
}

func packFile(w *tar.Writer, root, path string) error {
	info, err := os.Lstat(path)
	if err != nil {
		return err
	}
	link, _ := os.Readlink(path)
	h, err := tar.FileInfoHeader(info, link)
	if err != nil {
		return err
	}
	if h.Name, err = filepath.Rel(root, path); err != nil {
		return err
	}
	if err := w.WriteHeader(h); err != nil || !info.Mode().IsRegular() {
		return err
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.Copy(w, f)
	return err
}

// imageArchive wraps the layer into config, manifest and index.
func imageArchive(t *testing.T, layer []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	put := func(name string, data []byte) {
		h := &tar.Header{Name: name, Mode: 0o644, Size: int64(len(data))}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		_, _ = w.Write(data) // into memory
	}
	blob := func(mediaType string, data []byte) object {
		sum := fmt.Sprintf("%x", sha256.Sum256(data))
		put("blobs/sha256/"+sum, data)
		return object{"mediaType": mediaType, "digest": "sha256:" + sum, "size": len(data)}
	}
	file := func(d object) string { return "blobs/sha256/" + d["digest"].(string)[len("sha256:"):] }

	l := blob("application/vnd.oci.image.layer.v1.tar", layer)
	c := blob("application/vnd.oci.image.config.v1+json", toJSON(t, object{
		"architecture": "amd64", "os": "linux",
		"config":  object{"Env": []string{"PATH=/bin", "FROM_IMAGE=yes"}, "Cmd": []string{"/pause"}},
		"history": []any{object{"created_by": "rt's tests"}},
		"rootfs":  object{"type": "layers", "diff_ids": []any{l["digest"]}},
	}))
	m := blob("application/vnd.oci.image.manifest.v1+json", toJSON(t, object{
		"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "config": c, "layers": []any{l}}))
	m["annotations"] = object{"io.containerd.image.name": imageName, "org.opencontainers.image.ref.name": imageName}
	put("oci-layout", []byte(`{"imageLayoutVersion":"1.0.0"}`))
	put("index.json", toJSON(t, object{"schemaVersion": 2, "manifests": []any{m}}))
	put("manifest.json", toJSON(t, []any{object{
		"Config": file(c), "RepoTags": []string{imageName}, "Layers": []string{file(l)}}}))
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func toJSON(t *testing.T, v any) []byte {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return data
}
