// Command pause is process 1 of a pod's sandbox and of a cluster node: it holds the namespaces open, reaps the
// orphans the kernel hands to process 1, and leaves on SIGTERM. Its arguments only name it in a process list.
package main

import (
	"os"
	"os/signal"
	"syscall"
)

func main() {
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)
	// One slot is enough: signals of one kind coalesce, and reap empties the whole queue of dead children.
	children := make(chan os.Signal, 1)
	signal.Notify(children, syscall.SIGCHLD)
	for {
		select {
		case <-stop:
			return
		case <-children:
			reap()
		}
	}
}

func reap() {
	for {
		pid, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil)
		if err == syscall.EINTR {
			continue
		}
		if err != nil || pid <= 0 {
			return
		}
	}
}
