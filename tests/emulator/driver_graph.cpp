/* Graphs. A launch puts the nodes into the stream in an order that the seed decides: any that the edges allow. */
#include <string.h>

#include <algorithm>

#include "driver.h"

/* The structs of the driver, version 1 of the nodes' and 2 of the copy's. */
struct CUDA_KERNEL_NODE_PARAMS {
    CUfunction func;
    unsigned grid[3], block[3], shared;
    void **params, **extra;
};
struct copy_end {
    size_t x, y, z, level;
    int type;
    void *host;
    CUdeviceptr device;
    void *array, *context;
    size_t pitch, height;
};
struct CUDA_MEMCPY3D {
    copy_end from, to;
    size_t width, height, depth;
};
struct CUDA_MEMSET_NODE_PARAMS {
    CUdeviceptr to;
    size_t pitch;
    unsigned value, element;
    size_t width, height;
};
static_assert(sizeof(CUDA_KERNEL_NODE_PARAMS) == 56 && sizeof(CUDA_MEMCPY3D) == 200);
static_assert(sizeof(CUDA_MEMSET_NODE_PARAMS) == 40);

namespace {

enum { TYPE_HOST = 1, TYPE_DEVICE = 2, TYPE_UNIFIED = 4 }; /* CUmemorytype */

bool has_node(const CUgraph_st *graph, const CUgraphNode_st *node) {
    return std::find(graph->nodes.begin(), graph->nodes.end(), node) != graph->nodes.end();
}

/* A node of the graph behind `count` others, which must be of it and differ. */
CUresult add(CUgraphNode *made, CUgraph graph, const CUgraphNode *after, size_t count, CUgraphNode_st node) {
    if (!driver.graphs.has(graph)) return CUDA_ERROR_INVALID_HANDLE;
    const std::set<const CUgraphNode_st *> different(after, after + count);
    if (different.size() != count) return CUDA_ERROR_INVALID_VALUE;
    for (const CUgraphNode_st *each : different)
        if (!has_node(graph, each)) return CUDA_ERROR_INVALID_VALUE;
    node.after.assign(after, after + count);
    graph->nodes.push_back(new CUgraphNode_st(std::move(node)));
    *made = graph->nodes.back();
    return CUDA_SUCCESS;
}

CUresult kernel_work(const CUDA_KERNEL_NODE_PARAMS *p, work *what) {
    launch_shape shape;
    memcpy(shape.grid, p->grid, sizeof shape.grid);
    memcpy(shape.block, p->block, sizeof shape.block);
    shape.shared = p->shared;
    return driver_launch(p->func, shape, p->params, p->extra, what);
}

/* Copies of one row are all that is known here. */
CUresult copy_work(const CUDA_MEMCPY3D *p, work *what) {
    if (p->height != 1 || p->depth != 1 || !p->width) return CUDA_ERROR_NOT_SUPPORTED;
    const void *ends[2];
    int index = 0;
    for (const copy_end *end : {&p->from, &p->to}) {
        if (end->x || end->y || end->z || end->level || end->array || end->context) return CUDA_ERROR_NOT_SUPPORTED;
        if (end->type != TYPE_HOST && end->type != TYPE_DEVICE) return CUDA_ERROR_NOT_SUPPORTED;
        const void *address = end->type == TYPE_HOST ? end->host : (void *)end->device;
        if (!driver_on(end->type == TYPE_HOST ? HOST : DEVICE, address, p->width)) return CUDA_ERROR_INVALID_VALUE;
        ends[index++] = address;
    }
    void *to = const_cast<void *>(ends[1]);
    const void *from = ends[0];
    const size_t width = p->width;
    *what = [=]() -> const char * {
        memmove(to, from, width);
        driver.copies++;
        return nullptr;
    };
    return CUDA_SUCCESS;
}

CUgraphExec_st::node *node_of(CUgraphExec executable, CUgraphNode original) {
    if (driver.executables.has(executable))
        for (auto &node : executable->nodes)
            if (node.original == original) return &node;
    return nullptr;
}

} // namespace

API CUresult cuGraphCreate(CUgraph *graph, unsigned flags) {
    ENTER(CONTEXT);
    if (flags) return CUDA_ERROR_INVALID_VALUE;
    *graph = driver.graphs.add(new CUgraph_st{});
    return CUDA_SUCCESS;
}

API CUresult cuGraphDestroy(CUgraph graph) {
    ENTER(END);
    if (!driver.graphs.has(graph)) return CUDA_ERROR_INVALID_HANDLE;
    for (CUgraphNode_st *node : graph->nodes) delete node;
    driver.graphs.remove(graph);
    return driver.lost;
}

API CUresult cuGraphAddKernelNode(CUgraphNode *node, CUgraph graph, const CUgraphNode *after, size_t count,
                                  const CUDA_KERNEL_NODE_PARAMS *params) {
    ENTER(CONTEXT);
    CUgraphNode_st made = {CUgraphNode_st::KERNEL, {}, {}, 0, 0};
    const CUresult result = kernel_work(params, &made.what);
    return result ? result : add(node, graph, after, count, std::move(made));
}

API CUresult cuGraphAddMemcpyNode(CUgraphNode *node, CUgraph graph, const CUgraphNode *after, size_t count,
                                  const CUDA_MEMCPY3D *copy, CUcontext) {
    ENTER(CONTEXT);
    CUgraphNode_st made = {CUgraphNode_st::COPY, {}, {}, copy->from.type, copy->to.type};
    const CUresult result = copy_work(copy, &made.what);
    return result ? result : add(node, graph, after, count, std::move(made));
}

API CUresult cuGraphAddMemsetNode(CUgraphNode *node, CUgraph graph, const CUgraphNode *after, size_t count,
                                  const CUDA_MEMSET_NODE_PARAMS *set, CUcontext) {
    ENTER(CONTEXT);
    const size_t bytes = set->width * set->element;
    if (set->height != 1 || (set->element != 1 && set->element != 2 && set->element != 4))
        return CUDA_ERROR_INVALID_VALUE;
    if (!driver_on(DEVICE, (void *)set->to, bytes)) return CUDA_ERROR_INVALID_VALUE;
    char *to = (char *)set->to;
    const unsigned value = set->value, element = set->element;
    work what = [=]() -> const char * {
        for (size_t i = 0; i < bytes; i += element) memcpy(to + i, &value, element);
        return nullptr;
    };
    return add(node, graph, after, count, {CUgraphNode_st::SET, {}, std::move(what), 0, 0});
}

API CUresult cuGraphAddEmptyNode(CUgraphNode *node, CUgraph graph, const CUgraphNode *after, size_t count) {
    ENTER(CONTEXT);
    return add(node, graph, after, count, {CUgraphNode_st::EMPTY, {}, []() -> const char * { return nullptr; }, 0, 0});
}

/* Edges between nodes that are there. As of the driver of CUDA 13.0, the data of the first is that of all. A kernel
 * that waits itself is ordered like others, since every block of every kernel must wait (threads.cpp). */
API CUresult cuGraphAddDependencies_v2(CUgraph graph, const CUgraphNode *from, const CUgraphNode *to,
                                       const CUgraphEdgeData *data, size_t count) {
    enum { PROGRAMMATIC = 1, LAUNCH_ORDER = 2 };
    static const CUgraphEdgeData plain = {};
    ENTER(CONTEXT);
    if (!driver.graphs.has(graph)) return CUDA_ERROR_INVALID_HANDLE;
    const CUgraphEdgeData &d = data && count ? data[0] : plain;
    const bool early = d.from_port == PROGRAMMATIC && d.type == PROGRAMMATIC;
    if (d.to_port || (!early && (d.from_port || d.type)) || memcmp(d.reserved, plain.reserved, sizeof d.reserved))
        return CUDA_ERROR_INVALID_VALUE;
    if (early && driver.set.arch < 90) return CUDA_ERROR_NOT_SUPPORTED;
    for (size_t i = 0; i < count; i++) {
        if (!has_node(graph, from[i]) || !has_node(graph, to[i]) || from[i] == to[i]) return CUDA_ERROR_INVALID_VALUE;
        const auto kernel = CUgraphNode_st::KERNEL;
        if (early && (from[i]->kind != kernel || to[i]->kind != kernel)) return CUDA_ERROR_INVALID_VALUE;
        std::vector<CUgraphNode_st *> &after = to[i]->after;
        if (std::find(after.begin(), after.end(), from[i]) != after.end()) return CUDA_ERROR_INVALID_VALUE;
        after.push_back(from[i]);
        driver.early += early;
    }
    return CUDA_SUCCESS;
}

API CUresult cuGraphInstantiateWithFlags(CUgraphExec *executable, CUgraph graph, unsigned long long flags) {
    ENTER(CONTEXT);
    if (!driver.graphs.has(graph)) return CUDA_ERROR_INVALID_HANDLE;
    if (flags) return CUDA_ERROR_NOT_SUPPORTED;
    CUgraphExec_st *made = driver.executables.add(new CUgraphExec_st{});
    std::map<const CUgraphNode_st *, size_t> place; /* nodes stand behind those they wait for */
    for (CUgraphNode_st *node : graph->nodes) {
        std::vector<size_t> after;
        for (const CUgraphNode_st *other : node->after) after.push_back(place.at(other));
        place[node] = made->nodes.size();
        made->nodes.push_back({node, after, node->what, true, node->kind, node->from, node->to});
    }
    *executable = made;
    return CUDA_SUCCESS;
}

API CUresult cuGraphExecDestroy(CUgraphExec executable) {
    ENTER(END);
    if (!driver.executables.has(executable)) return CUDA_ERROR_INVALID_HANDLE;
    driver.executables.remove(executable);
    return driver.lost;
}

API CUresult cuGraphExecKernelNodeSetParams(CUgraphExec executable, CUgraphNode node,
                                            const CUDA_KERNEL_NODE_PARAMS *params) {
    ENTER(CONTEXT);
    CUgraphExec_st::node *mine = node_of(executable, node);
    if (!mine || mine->kind != CUgraphNode_st::KERNEL) return CUDA_ERROR_INVALID_VALUE;
    return kernel_work(params, &mine->what);
}

/* Where a copy comes from and goes to may change, but not on which side. */
API CUresult cuGraphExecMemcpyNodeSetParams(CUgraphExec executable, CUgraphNode node, const CUDA_MEMCPY3D *copy,
                                            CUcontext) {
    ENTER(CONTEXT);
    CUgraphExec_st::node *mine = node_of(executable, node);
    if (!mine || mine->kind != CUgraphNode_st::COPY) return CUDA_ERROR_INVALID_VALUE;
    if (mine->from != copy->from.type || mine->to != copy->to.type) return CUDA_ERROR_INVALID_VALUE;
    return copy_work(copy, &mine->what);
}

API CUresult cuGraphNodeSetEnabled(CUgraphExec executable, CUgraphNode node, unsigned enabled) {
    ENTER(CONTEXT);
    CUgraphExec_st::node *mine = node_of(executable, node);
    if (!mine || mine->kind == CUgraphNode_st::EMPTY) return CUDA_ERROR_INVALID_VALUE;
    mine->enabled = enabled != 0;
    return CUDA_SUCCESS;
}

API CUresult cuGraphUpload(CUgraphExec executable, CUstream stream) {
    ENTER(CONTEXT);
    return driver.executables.has(executable) && driver_is_stream(stream) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE;
}

API CUresult cuGraphLaunch(CUgraphExec executable, CUstream stream) {
    ENTER(CONTEXT);
    if (!driver.executables.has(executable) || !driver_is_stream(stream)) return CUDA_ERROR_INVALID_HANDLE;
    const auto &nodes = executable->nodes;
    std::vector<std::vector<size_t>> behind(nodes.size());
    std::vector<size_t> waits(nodes.size()), ready;
    for (size_t i = 0; i < nodes.size(); i++) {
        waits[i] = nodes[i].after.size();
        for (const size_t other : nodes[i].after) behind[other].push_back(i);
        if (!waits[i]) ready.push_back(i);
    }
    while (!ready.empty()) {
        std::swap(ready[driver.chance.below((uint32_t)ready.size())], ready.back());
        const size_t next = ready.back();
        ready.pop_back();
        if (nodes[next].enabled) driver_queue(stream, nodes[next].what);
        for (const size_t i : behind[next])
            if (!--waits[i]) ready.push_back(i);
    }
    return CUDA_SUCCESS;
}
