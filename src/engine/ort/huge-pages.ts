import { closeSync, fstatSync, openSync, readFileSync } from 'node:fs'
import koffi from 'koffi'

/** Of mmap, mremap and madvise on Linux; the same on every architecture we run on. */
const [none, readAndWrite] = [0, 3]
const [isPrivate, fixed, anonymous] = [0x02, 0x10, 0x20]
const moveTo = 1 | 2
const wantHuge = 14

const settings = '/sys/kernel/mm/transparent_hugepage'

/** A part of a file in this process's memory: its address, its length, and where in the file it begins. */
export interface Mapping {
  readonly address: number
  readonly bytes: number
  readonly offset: number
  readonly inode: number
}

/** The mappings of `file` in the text of /proc/self/maps. */
export function mappingsOf(file: string, maps: string): readonly Mapping[] {
  return maps.split('\n').flatMap((line) => {
    const [, from, to, offset, inode, path] = line.match(/^(\w+)-(\w+) \S+ (\w+) \S+ (\d+) +(.*)$/) ?? []
    if (path !== file) return []
    const address = Number.parseInt(from, 16)
    return [
      { address, bytes: Number.parseInt(to, 16) - address, offset: Number.parseInt(offset, 16), inode: Number(inode) },
    ]
  })
}

/** Bytes of a huge page, null where the kernel gives none to those who ask. */
export function hugePageBytes(folder = settings): number | null {
  try {
    if (!/\[(always|madvise)\]/.test(readFileSync(`${folder}/enabled`, 'utf8'))) return null
    return Number(readFileSync(`${folder}/hpage_pmd_size`, 'utf8'))
  } catch {
    // Not Linux, or a kernel without them.
    return null
  }
}

/** Mapped weights that can be moved into huge pages of this process's own, and back. */
export interface Movable {
  /** What moving takes from the free memory: the file's pages stay in the page cache until somebody needs their room. */
  readonly bytes: number
  /**
   * Moves them, one mapping at a time. The copy is made by another thread, and the copy takes the original's place between two
   * runs, at the same address: whoever holds it notices nothing. Resolves to the bytes that were moved.
   */
  move(): Promise<number>
  /** Maps the file again where weights were moved, and moves no more: the memory is free when this returns. */
  giveBack(): void
}

/**
 * The weights of `file` as ONNX Runtime has mapped them, without mappings of exactly `besides` bytes; null where there are none
 * or no huge pages to be had. Must not outlive the session, and only works in the thread that runs it.
 */
export function movableWeights(
  file: string,
  besides: number,
  pageBytes = hugePageBytes(),
  maps = readFileSync('/proc/self/maps', 'utf8'),
): Movable | null {
  if (pageBytes === null) return null
  const found = mappingsOf(file, maps).filter(({ bytes }) => bytes >= pageBytes && bytes !== besides)
  if (found.length === 0) return null
  const c = library()
  const fd = openSync(file, 'r')
  // Another file of this name: what is mapped could not be had back.
  if (found.some(({ inode }) => inode !== fstatSync(fd).ino)) {
    closeSync(fd)
    return null
  }
  const moved: Mapping[] = []
  let wanted = true

  const mapFile = ({ address, bytes, offset }: Mapping): void => {
    c.mmap(address, bytes, readAndWrite, isPrivate | fixed, fd, offset)
  }
  const moveOne = async (mapping: Mapping): Promise<void> => {
    const { address, bytes } = mapping
    const copy = reserve(c, bytes, address, pageBytes)
    try {
      if (c.madvise(copy, bytes, wantHuge) !== 0) throw new Error('madvise refused')
      await new Promise<void>((resolve, reject) =>
        c.memcpy.async(copy, address, bytes, (error: unknown) => (error ? reject(error) : resolve())),
      )
      if (!wanted) throw new Error('told to stop')
      if (c.mremap(copy, bytes, bytes, moveTo, address) !== address) {
        // The kernel may have cleared the place before it failed.
        mapFile(mapping)
        throw new Error('mremap refused')
      }
      moved.push(mapping)
    } catch (error) {
      c.munmap(copy, bytes)
      throw error
    }
  }
  return {
    bytes: found.reduce((sum, { bytes }) => sum + bytes, 0),
    async move() {
      for (const mapping of found) {
        if (!wanted) break
        try {
          await moveOne(mapping)
        } catch {
          // Not enough memory, or told to stop: what is not moved is read from where it was.
          break
        }
      }
      return moved.reduce((sum, { bytes }) => sum + bytes, 0)
    },
    giveBack() {
      if (!wanted) return
      wanted = false
      for (const mapping of moved.splice(0)) mapFile(mapping)
      closeSync(fd)
    },
  }
}

/** Room of `bytes` that lies to the borders of huge pages as `address` does, so that pages can move whole. */
function reserve(c: Library, bytes: number, address: number, pageBytes: number): number {
  const start = c.mmap(0, bytes + pageBytes, none, isPrivate | anonymous, -1, 0)
  const shift = (((address - start) % pageBytes) + pageBytes) % pageBytes
  const room = start + shift
  if (shift > 0) c.munmap(start, shift)
  if (shift < pageBytes) c.munmap(room + bytes, pageBytes - shift)
  return c.mmap(room, bytes, readAndWrite, isPrivate | fixed | anonymous, -1, 0)
}

type Library = ReturnType<typeof open>
let opened: Library | undefined

/** koffi unloads a library that is collected, so it is opened once. */
function library(): Library {
  opened ??= open()
  return opened
}

function open() {
  const libc = koffi.load('libc.so.6')
  const [address, size] = ['uintptr_t', 'size_t']
  return {
    libc,
    mmap: libc.func('mmap', address, [address, size, 'int', 'int', 'int', 'int64_t']),
    munmap: libc.func('munmap', 'int', [address, size]),
    mremap: libc.func('mremap', address, [address, size, size, 'int', address]),
    madvise: libc.func('madvise', 'int', [address, size, 'int']),
    memcpy: libc.func('memcpy', address, [address, address, size]),
  }
}
