package deploy_test

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// composedRedis runs the command of the Redis container in its own directory.
type composedRedis struct {
	service composeService
	dir     string
	socket  string // instead of the container's port
}

func newComposedRedis(t *testing.T, password string) *composedRedis {
	t.Helper()
	dir := t.TempDir()
	r := &composedRedis{
		service: decode[composeFile](t, root, "docker-compose.yml").Services["redis"],
		dir:     dir,
		socket:  filepath.Join(dir, "socket"),
	}
	write(t, filepath.Join(dir, "redis-password"), password+"\n", 0o600)
	for name, arguments := range map[string]string{
		"redis-server": `"$@" --port 0 --unixsocket ` + r.socket,
		"redis-cli":    "-s " + r.socket + ` "$@"`,
	} {
		program, err := exec.LookPath(name)
		if err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, name), "#!/bin/sh\nexec "+program+" "+arguments+"\n", 0o700)
	}
	return r
}

func write(t *testing.T, name, content string, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(name, []byte(content), mode); err != nil {
		t.Fatal(err)
	}
}

// command returns one of the service's commands, as Compose passes it to the container.
func (r *composedRedis) command(ctx context.Context, args ...string) *exec.Cmd {
	inside := strings.NewReplacer("$$", "$", "/run/secrets/", r.dir+"/")
	for i := range args {
		args[i] = inside.Replace(args[i])
	}
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Dir = r.dir
	cmd.Env = []string{"PATH=" + r.dir + ":" + os.Getenv("PATH")}
	return cmd
}

// healthy runs the container's health check.
func (r *composedRedis) healthy(ctx context.Context, t *testing.T) bool {
	t.Helper()
	test := r.service.Healthcheck.Test
	if len(test) != 2 || test[0] != "CMD-SHELL" {
		t.Fatalf("the health check is %v", test)
	}
	return r.command(ctx, "/bin/sh", "-c", test[1]).Run() == nil
}

func TestCompose_Redis(t *testing.T) {
	const password = "9d0c5a1e7b"
	r := newComposedRedis(t, password)
	var log bytes.Buffer
	server := r.command(t.Context(), slices.Clone(r.service.Command)...)
	server.Stdout, server.Stderr = &log, &log
	// A child that outlives the shell must neither block the test nor outlive it.
	server.WaitDelay = 10 * time.Second
	server.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Kill(-server.Process.Pid, syscall.SIGKILL) }) // fails when every process has exited
	ended := make(chan error, 1)
	go func() { ended <- server.Wait() }()
	for deadline := time.Now().Add(time.Minute); !r.healthy(t.Context(), t); time.Sleep(20 * time.Millisecond) {
		select {
		case err := <-ended:
			t.Fatalf("it has ended: %v\n%s", err, log.String())
		default:
		}
		if time.Now().After(deadline) {
			t.Fatal("its health check fails after a minute")
		}
	}

	client := redis.NewClient(&redis.Options{Network: "unix", Addr: r.socket, Password: password})
	defer client.Close() //nolint:errcheck // the client is not used any more
	for name, want := range map[string]string{"maxmemory-policy": "noeviction", "maxmemory": "268435456", "appendonly": "yes"} {
		if got := client.ConfigGet(t.Context(), name).Val()[name]; got != want {
			t.Errorf("%s is %q, not %q", name, got, want)
		}
	}
	stranger := redis.NewClient(&redis.Options{Network: "unix", Addr: r.socket})
	defer stranger.Close() //nolint:errcheck // the client is not used any more
	if err := stranger.Ping(t.Context()).Err(); err == nil || !strings.Contains(err.Error(), "NOAUTH") {
		t.Errorf("without the password it answers: %v", err)
	}
	// The shell has replaced itself with the server, so the server receives the container's SIGTERM.
	if err := server.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil {
		t.Errorf("SIGTERM: %v\n%s", err, log.String())
	}
}

// Every container on the same network could use a Redis without a password.
func TestCompose_RedisWithoutPassword(t *testing.T) {
	for name, remove := range map[string]bool{"the file is empty": false, "there is no file": true} {
		t.Run(name, func(t *testing.T) {
			r := newComposedRedis(t, "")
			if remove {
				if err := os.Remove(filepath.Join(r.dir, "redis-password")); err != nil {
					t.Fatal(err)
				}
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			err := r.command(ctx, slices.Clone(r.service.Command)...).Run()
			if err == nil || ctx.Err() != nil {
				t.Errorf("it runs without a password: %v", err)
			}
		})
	}
}

// `docker inspect` and the list of processes show a container's command, environment and health check.
func TestCompose_RedisPassword(t *testing.T) {
	compose := decode[composeFile](t, root, "docker-compose.yml")
	s := compose.Services["redis"]
	if !slices.Equal(s.Secrets, []string{"redis-password"}) {
		t.Fatalf("its secrets are %v", s.Secrets)
	}
	example := variable.ReplaceAllString(compose.Secrets["redis-password"].File, "$2")
	password := strings.TrimSpace(read(t, root, example))
	shown := slices.Concat(s.Entrypoint, s.Command, s.Healthcheck.Test)
	for name, value := range s.Environment {
		shown = append(shown, name+"="+value)
	}
	for _, text := range shown {
		if strings.Contains(text, "REDIS_PASSWORD") || strings.Contains(text, password) {
			t.Errorf("the password is shown by %q", text)
		}
	}
	// By default, the clients get the same password.
	for _, name := range []string{"api", "worker"} {
		if url := substituted(compose.Services[name].Environment)["REDIS_URL"]; !strings.Contains(url, ":"+password+"@") {
			t.Errorf("%s connects to %s without the password of %s", name, url, example)
		}
	}
}

// The documented way to replace the passwords sets the same one for Redis and its clients.
func TestCompose_Passwords(t *testing.T) {
	block := regexp.MustCompile("(?s)```sh\n(\\(umask.*?)```").FindStringSubmatch(read(t, "docs", "install.md"))
	if block == nil {
		t.Fatal("install.md does not describe how to replace the passwords")
	}
	dir := t.TempDir()
	cmd := exec.Command("/bin/sh", "-ec", "umask 077\n"+block[1])
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	file := read(t, root, "docker-compose.yml")
	set := make(map[string]string)
	for line := range strings.Lines(read(t, dir, ".env")) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		set[name] = value
		if !strings.Contains(file, "${"+name+":-") {
			t.Errorf("%s is not a variable of the compose file", name)
		}
	}
	if got := strings.TrimSpace(read(t, dir, set["REDIS_PASSWORD_FILE"])); got == "" || got != set["REDIS_PASSWORD"] {
		t.Error("Redis and its clients get different passwords")
	}
	for name, value := range set {
		if strings.HasSuffix(name, "PASSWORD") && !regexp.MustCompile(`^[a-z0-9]{20,}$`).MatchString(value) {
			t.Errorf("%s is not a long password of letters and digits", name)
		}
	}
	// The container runs Redis as another user than the owner of the file.
	if info, err := os.Stat(filepath.Join(dir, "redis-password")); err != nil || info.Mode()&0o004 == 0 {
		t.Errorf("Redis cannot read its password: %v, %v", info.Mode(), err)
	}
	if info, err := os.Stat(filepath.Join(dir, ".env")); err != nil || info.Mode()&0o077 != 0 {
		t.Errorf("others can read .env: %v, %v", info.Mode(), err)
	}
	// Git ignores the files, so that nobody commits them by mistake.
	ignored := strings.Split(read(t, root, ".gitignore"), "\n")
	for _, name := range []string{".env", "redis-password", "*.dump"} {
		if !slices.Contains(ignored, name) {
			t.Errorf(".gitignore has no %s", name)
		}
	}
}
