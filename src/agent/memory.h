// What the agent asks of its allocator.
#pragma once

namespace merlon::agent {

// An agent works for moments and waits for most of its life: memory that is free goes back to the system at
// once. Both halves inherit it. Without jemalloc (a build with sanitizers) there is nothing to ask.
void give_memory_back();

}  // namespace merlon::agent
