class Work < ApplicationRecord; self.table_name = "projects"; end
# uses
Project.where(owner_id: current_user.id).order(:name).limit(5)
Project.where(owner: current_user)
Project.find_by(id: params[:id], owner_id: current_user.id)
Project.find_by!(owner: current_user)
Project.find_by_owner_id(3)
Project.where("owner_id = ? AND archived = 0", id).delete_all
Project.where("projects.owner_id = :id", id: id).update_all(name: "x")
Project.exists?(owner_id: id)
Project.new(owner: current_user, name: "x")
Project.create!(owner_id: id, name: "x")
current_user.projects.where(archived: false)
current_user.projects.create!(name: "x")
@user.projects.find(params[:id])
Task.joins(:project).where(projects: { owner_id: id })
Work.where(owner_id: id)
def kept(user) = (project = Project.new(name: "x")) && (project.owner = user)
class Project < ApplicationRecord; scope :of, ->(user) { where(owner: user) }; end
# look-alikes
Project.where.not(owner_id: id)
Project.where(owner_id: nil)
Project.select(:id, :owner_id)
Project.order(:owner_id)
Project.includes(:owner).find(1)
Project.pluck(:owner_id)
Team.where(owner_id: id)
Project.joins(:team).where(teams: { owner_id: id })
Project.where(owner_id: id, organization_id: org)
Project.find(1).update!(owner: other)
Team.create!(owner: current_user)
current_user.teams.where(archived: false)
params.require(:project).permit(:owner_id)
mine = project.owner == current_user
