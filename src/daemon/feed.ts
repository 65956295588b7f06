/** One value after another to whoever listens; a listener that throws does not keep the others from hearing. */
export interface Feed<T> {
  publish(value: T): void
  /** Returns the function that ends the subscription. */
  readonly subscribe: (listener: (value: T) => void) => () => void
}

export function createFeed<T>(onFault: (thrown: unknown) => void): Feed<T> {
  const listeners = new Set<(value: T) => void>()
  return {
    publish(value) {
      for (const listener of listeners) {
        try {
          listener(value)
        } catch (thrown) {
          onFault(thrown)
        }
      }
    },
    subscribe(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
  }
}
