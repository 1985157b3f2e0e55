module tulle.dev/e2e/cluster/components/garden

go 1.26.0
