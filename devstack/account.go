package devstack

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"lastcall/devstack/supervise"
)

// varLib is where root keeps what the account of its Postgres must reach.
const varLib = "/var/lib/lastcall"

// locale is one that every machine of this system has.
func locale() string {
	if runtime.GOOS == "darwin" {
		return "en_US.UTF-8"
	}
	return "C.UTF-8"
}

// account is whom Postgres runs as: this process's user, or, since Postgres refuses to run as root, an
// unprivileged one.
type account struct {
	credential *syscall.Credential // nil: this process's user
}

// serverAccount is the account for a new cluster.
func serverAccount() (account, error) {
	if os.Geteuid() != 0 {
		return account{}, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, uidErr := strconv.ParseUint(u.Uid, 10, 32)
		gid, gidErr := strconv.ParseUint(u.Gid, 10, 32)
		if uidErr == nil && gidErr == nil {
			return account{&syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}, nil
		}
	}
	return account{}, errors.New("Postgres does not run as root, and there is neither a user postgres nor nobody to run it as; " +
		"run lastcall up as another user")
}

// home is the directory of the cluster of a data directory: inside it where the account can reach that,
// else under varLib, remembered in the data directory. An existing cluster's owner becomes the account.
func (a *account) home(dataDir string) (string, error) {
	dataDir, err := filepath.Abs(dataDir)
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(dataDir, 0o755); err != nil {
		return "", fmt.Errorf("make the data directory: %w", err)
	}
	home := clusterHome(dataDir)
	if info, err := os.Stat(filepath.Join(home, "data")); err == nil && a.credential != nil {
		if owner, ok := info.Sys().(*syscall.Stat_t); ok && owner.Uid != 0 {
			a.credential = &syscall.Credential{Uid: owner.Uid, Gid: owner.Gid}
		}
		return home, nil
	}
	if filepath.Dir(home) == dataDir && !a.reaches(dataDir) {
		sum := sha256.Sum256([]byte(dataDir))
		home = filepath.Join(varLib, hex.EncodeToString(sum[:6]))
		if err := supervise.Replace(filepath.Join(dataDir, elsewhere), []byte(home+"\n")); err != nil {
			return "", fmt.Errorf("remember where Postgres keeps its data: %w", err)
		}
	}
	if err := os.MkdirAll(filepath.Dir(home), 0o755); err != nil {
		return "", fmt.Errorf("make the directory for Postgres: %w", err)
	}
	if err := os.Mkdir(home, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", fmt.Errorf("make the directory for Postgres: %w", err)
	}
	return home, a.own(home)
}

// elsewhere is the file of a data directory that says where its Postgres is, if not inside.
const elsewhere = "postgres.path"

// HasCluster says whether a data directory has a Postgres cluster already.
func HasCluster(dataDir string) bool { return clusterMajor(dataDir) != 0 }

func clusterHome(dataDir string) string {
	if path, err := os.ReadFile(filepath.Join(dataDir, elsewhere)); err == nil {
		return strings.TrimSpace(string(path))
	}
	return filepath.Join(dataDir, "postgres")
}

// tempDir makes a directory for an ephemeral cluster.
func (a *account) tempDir() (string, error) {
	base := os.TempDir()
	if !a.reaches(base) {
		base = varLib
		if err := os.MkdirAll(base, 0o755); err != nil {
			return "", fmt.Errorf("make a temporary directory: %w", err)
		}
	}
	dir, err := os.MkdirTemp(base, "lastcall-postgres-")
	if err != nil {
		return "", fmt.Errorf("make a temporary directory: %w", err)
	}
	return dir, a.own(dir)
}

// own gives a file or an empty directory to the account.
func (a *account) own(path string) error {
	if a.credential == nil {
		return nil
	}
	return os.Chown(path, int(a.credential.Uid), int(a.credential.Gid))
}

// reaches says whether the account can work in a directory. Asking is surer than reading modes.
func (a *account) reaches(dir string) bool {
	return a.credential == nil || a.command(context.Background(), dir, "/bin/sh", "-c", ":").Run() == nil
}

// command runs a program as the account, in dir.
func (a *account) command(ctx context.Context, dir, path string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Dir, cmd.Env = dir, serverEnv("PG", "LASTCALL_")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: a.credential, Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) } // with what it started
	return cmd
}

// serverEnv is this process's environment without the variables that begin so: a user's PGPORT is not
// meant for this server, and our secrets are nobody else's.
func serverEnv(without ...string) []string {
	return slices.DeleteFunc(os.Environ(), func(entry string) bool {
		return slices.ContainsFunc(without, func(prefix string) bool { return strings.HasPrefix(entry, prefix) })
	})
}
