import { startBoard } from '/ui/board.js'
import { startChat } from '/ui/chat.js'

startBoard()
try {
  const reply = await fetch('/ui/model.json')
  const model = await reply.json()
  document.getElementById('model-name').textContent = model.name
  document.getElementById('model-description').textContent = model.description
  document.getElementById('model-description').title = model.description
  document.title = `${model.name} · deapd`
  startChat(model)
} catch {
  const banner = document.getElementById('banner')
  banner.textContent = 'deapd did not say which model it serves. Reload the page when it is running.'
  banner.hidden = false
}
